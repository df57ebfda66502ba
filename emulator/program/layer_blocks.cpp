// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/layer_blocks.hpp"

#include <algorithm>
#include <optional>

#include "emulator/program/attention_op.hpp"
#include "emulator/program/context_attention.hpp"
#include "emulator/program/expert_mlp.hpp"

namespace traindyno {

namespace {

/// Activations inside a layer, in the order in which forward writes them; those of experts follow.
struct Activations {
    Slice norm1;       // [own t, h]
    Slice qkv;         // [t, qkv_width], rotated
    Slice context;     // [t, attention_width]
    Slice statistics;  // [batch, heads, seq] in fp32
    Slice residual;    // [own t, h], input plus attention
    Slice norm2;       // [own t, h]
    Slice up;          // [t, up_width], before the activation function
    Slice activated;   // [t, ffn]
};

/// Gradients of the outputs of a layer's linear layers, other than the last.
struct OutputGradients {
    Slice qkv;         // [t, qkv_width]
    Slice projection;  // [t, h]
    Slice up;          // [t, up_width]
};

/// Where a layer keeps what backward reads.
Arena& kept_in(const StageContext& stage, BlockArenas& arenas) {
    return stage.recompute == Recompute::full ? arenas.scratch : arenas.saved;
}

Activations place_activations(const StageContext& stage, LayerKind kind, BlockArenas& arenas) {
    const LocalShape& shape = stage.shape;
    const std::int64_t t = shape.tokens;
    const std::int64_t own = shape.own_tokens * shape.hidden;
    Arena& kept = kept_in(stage, arenas);
    Arena& attention = stage.recompute == Recompute::none ? arenas.saved : arenas.scratch;
    const bool deferred = stage.weight_gradients == WeightGradients::deferred;
    Activations at;
    at.norm1 = kept.take(own);
    at.qkv = kept.take(t * shape.qkv_width);
    at.context = attention.take(t * shape.attention_width);
    at.statistics = attention.take(words_of_fp32(t * shape.heads, stage.storage));
    at.residual = kept.take(own);
    at.norm2 = kept.take(own);
    if (kind == LayerKind::experts) {
        return at;
    }
    at.up = kept.take(t * (deferred ? std::max(shape.up_width, shape.qkv_width) : shape.up_width));
    at.up.elements = t * shape.up_width;
    at.activated = kept.take(t * shape.ffn);
    return at;
}

/// Deferred weight gradients read them after the backward: those of queries, keys and values and of
/// the projection take the places of activations that nothing reads any more when they are written,
/// where there are any as large.
OutputGradients place_gradients(const StageContext& stage,
                                LayerKind kind,
                                const Activations& at,
                                BlockArenas& arenas) {
    const LocalShape& shape = stage.shape;
    OutputGradients gradients;
    if (stage.weight_gradients == WeightGradients::deferred) {
        const bool dense = kind == LayerKind::dense;
        gradients.projection = at.residual;
        gradients.qkv = dense ? at.up : arenas.saved.take(shape.tokens * shape.qkv_width);
        gradients.qkv.elements = shape.tokens * shape.qkv_width;
        gradients.up = arenas.saved.take(dense ? shape.tokens * shape.up_width : 0);
    }
    return gradients;
}

/// The linear layers of a transformer layer.
struct Linears {
    BiasedLinear qkv;
    BiasedLinear projection;
    BiasedLinear up;
    BiasedLinear down;
};

Linears linears_of(const StageContext& stage, LayerKind kind) {
    const LocalShape& shape = stage.shape;
    const LayerParameters& weights = stage.parameters.of(kind);
    const auto linear =
        [&](std::int64_t in, std::int64_t out, const Slice& weight, const Slice& bias) {
            return BiasedLinear{
                .linear = {.tokens = shape.tokens, .in = in, .out = out, .weight = weight},
                .bias = bias};
        };
    return {.qkv = linear(shape.hidden, shape.qkv_width, weights.qkv_weight, weights.qkv_bias),
            .projection = linear(shape.attention_width,
                                 shape.hidden,
                                 weights.projection_weight,
                                 weights.projection_bias),
            .up = linear(shape.hidden, shape.up_width, weights.up_weight, weights.up_bias),
            .down = linear(shape.ffn, shape.hidden, weights.down_weight, weights.down_bias)};
}

class LayerWriter {
  public:
    LayerWriter(const StageContext& stage,
                LayerKind kind,
                const LayerEnds& ends,
                BlockArenas& arenas,
                std::string name,
                Phase phase)
        : stage_(stage),
          shape_(stage.shape),
          weights_(stage.parameters.of(kind)),
          ends_(ends),
          scratch_(arenas.scratch),
          linears_(linears_of(stage, kind)),
          at_(place_activations(stage, kind, arenas)),
          kept_(place_gradients(stage, kind, at_, arenas)),
          block_(std::move(name), phase, stage) {
        block_.set_weight_gradients(stage.weight_gradients);
        if (kind == LayerKind::experts) {
            experts_.emplace(stage, block_, kept_in(stage, arenas), scratch_);
        }
        if (stage.cp) {
            parted_.emplace(stage, block_, scratch_);
        }
    }

    void forward(const Slice& output) {
        attention_forward();
        mlp_forward(output);
    }

    void recompute() {
        block_.set_phase(Phase::recompute);
        if (stage_.recompute == Recompute::selective) {
            core_attention();
        } else {
            forward(take_own());
        }
        block_.set_phase(Phase::backward);
    }

    void backward() {
        if (stage_.recompute == Recompute::full) {
            recompute();
        }
        const Slice grad_residual = kept_or(kept_.projection, shape_.own_tokens * shape_.hidden);
        mlp_backward(grad_residual);
        if (stage_.recompute == Recompute::selective) {
            recompute();
        }
        attention_backward(grad_residual);
    }

    /// What `backward` leaves out where weight gradients are deferred, in its order.
    void weight_gradients() {
        const TokenRows dy = gathered_gradient(ends_.grad_output);
        const TokenRows x = gathered_input(at_.norm2);
        if (experts_) {
            experts_->weight_gradients(x, dy);
        } else {
            block_.row_parallel_weight_gradient(linears_.down, at_.activated, dy);
            block_.column_parallel_weight_gradient(linears_.up, x, kept_.up);
        }
        block_.row_parallel_weight_gradient(
            linears_.projection, at_.context, gathered_gradient(kept_.projection));
        block_.column_parallel_weight_gradient(linears_.qkv, gathered_input(at_.norm1), kept_.qkv);
    }

    [[nodiscard]] Block take() { return block_.take(); }

  private:
    void attention_forward() {
        const TokenRows projected = summed(take_own());
        norm_forward(ends_.input, weights_.norm1, at_.norm1);
        block_.column_parallel_forward(linears_.qkv, gathered_input(at_.norm1), at_.qkv);
        rotate(ElementwiseKind::rotary_forward, at_.qkv);
        const After reused = core_attention();
        const After reduced =
            block_.row_parallel_forward(linears_.projection, at_.context, projected, reused);
        add_residual(ends_.input, projected.own, at_.residual, reduced);
    }

    void mlp_forward(const Slice& output) {
        const TokenRows down = summed(take_own());
        norm_forward(at_.residual, weights_.norm2, at_.norm2);
        if (experts_) {
            experts_->forward(gathered_input(at_.norm2), down);
            add_residual(at_.residual, down.own, output, {});
            return;
        }
        block_.column_parallel_forward(linears_.up, gathered_input(at_.norm2), at_.up);
        block_.activation_forward(shape_.tokens, shape_.ffn, at_.up, at_.activated);
        const After reduced = block_.row_parallel_forward(linears_.down, at_.activated, down);
        add_residual(at_.residual, down.own, output, reduced);
    }

    void mlp_backward(const Slice& grad_residual) {
        if (experts_) {
            const TokenRows grad_norm2 = summed(take_own());
            experts_->backward(
                input_of_gradient(at_.norm2), gathered_gradient(ends_.grad_output), grad_norm2);
            norm_backward(
                at_.residual, grad_norm2.own, weights_.norm2, ends_.grad_output, grad_residual, {});
            return;
        }
        const Slice grad_activated = scratch_.take(shape_.tokens * shape_.ffn);
        const Slice grad_up = kept_or(kept_.up, shape_.tokens * shape_.up_width);
        const TokenRows grad_norm2 = summed(take_own());
        block_.row_parallel_backward(
            linears_.down, at_.activated, gathered_gradient(ends_.grad_output), grad_activated);
        block_.activation_backward(shape_.tokens, shape_.ffn, {at_.up, grad_activated}, grad_up);
        const After reduced = block_.column_parallel_backward(
            linears_.up, input_of_gradient(at_.norm2), grad_up, grad_norm2);
        norm_backward(at_.residual,
                      grad_norm2.own,
                      weights_.norm2,
                      ends_.grad_output,
                      grad_residual,
                      reduced);
    }

    void attention_backward(const Slice& grad_residual) {
        const Slice grad_context = scratch_.take(shape_.tokens * shape_.attention_width);
        const Slice grad_qkv = kept_or(kept_.qkv, shape_.tokens * shape_.qkv_width);
        const TokenRows grad_norm1 = summed(take_own());
        block_.row_parallel_backward(
            linears_.projection, at_.context, gathered_gradient(grad_residual), grad_context);
        core_attention_backward(grad_context, grad_qkv);
        rotate(ElementwiseKind::rotary_backward, grad_qkv);
        const After reduced = block_.column_parallel_backward(
            linears_.qkv, input_of_gradient(at_.norm1), grad_qkv, grad_norm1);
        norm_backward(
            ends_.input, grad_norm1.own, weights_.norm1, grad_residual, ends_.grad_input, reduced);
    }

    /// Of all or of a part of the tokens.
    [[nodiscard]] AttentionEnds attention_ends() const {
        return {.qkv = at_.qkv, .context = at_.context, .statistics = at_.statistics};
    }

    void core_attention_backward(const Slice& grad_context, const Slice& grad_qkv) {
        if (parted_) {
            parted_->backward(attention_ends(), grad_context, grad_qkv);
            return;
        }
        auto op = attention_op<AttentionBackward>(shape_, attention_ends());
        op.grad_context = grad_context;
        op.grad_qkv = grad_qkv;
        block_.compute(op);
    }

    /// Returns what its reader waits for.
    After core_attention() {
        if (parted_) {
            return parted_->forward(attention_ends());
        }
        block_.compute(attention_op<AttentionForward>(shape_, attention_ends()));
        return {};
    }

    void norm_forward(const Slice& x, const Slice& weights, const Slice& y) {
        block_.elementwise(
            ElementwiseKind::norm_forward, shape_.own_tokens, shape_.hidden, {x, weights}, {y});
    }

    /// Gradient of y = x + f(norm(x)): `grad_norm` through the norm, plus `grad_y` beside it.
    void norm_backward(const Slice& x,
                       const Slice& grad_norm,
                       const Slice& weights,
                       const Slice& grad_y,
                       const Slice& grad_x,
                       const After& after) {
        const Slice through_norm = take_own();
        block_.elementwise(ElementwiseKind::norm_backward,
                           shape_.own_tokens,
                           shape_.hidden,
                           {x, grad_norm, weights},
                           {through_norm, gradient_of(weights)},
                           after);
        add_residual(grad_y, through_norm, grad_x, {});
    }

    void add_residual(const Slice& x, const Slice& y, const Slice& sum, const After& after) {
        block_.elementwise(
            ElementwiseKind::residual_add, shape_.own_tokens, shape_.hidden, {x, y}, {sum}, after);
    }

    /// Turns the first columns of each row of `qkv`: queries and keys.
    void rotate(ElementwiseKind kind, const Slice& qkv) {
        if (stage_.positions == Positions::rotary) {
            block_.elementwise(kind, shape_.tokens, shape_.rotary_width, {qkv}, {qkv});
        }
    }

    [[nodiscard]] Slice take_own() { return scratch_.take(shape_.own_tokens * shape_.hidden); }

    /// `kept` where it has a place, else scratch.
    [[nodiscard]] Slice kept_or(const Slice& kept, std::int64_t elements) {
        return kept.elements > 0 ? kept : scratch_.take(elements);
    }

    /// One buffer for the input of every product and one for the gradient of every output, as
    /// Megatron-LM has: a gathering waits for the compute before it, and so for the readers of the
    /// last. With one for both, the weight gradient of a layer could still read what the next
    /// gathers, where a device runs the operation between them earlier (kernel_plan/fusion.hpp).
    [[nodiscard]] TokenRows gathered_input(const Slice& own) { return rows_in(inputs_, own); }

    /// Of a product in backward, for its weight's gradient: where that is deferred, its own block
    /// gathers it.
    [[nodiscard]] TokenRows input_of_gradient(const Slice& own) {
        const bool deferred = stage_.weight_gradients == WeightGradients::deferred;
        return deferred ? TokenRows{.own = own, .all = own} : gathered_input(own);
    }

    [[nodiscard]] TokenRows gathered_gradient(const Slice& own) { return rows_in(gradients_, own); }

    /// One buffer for every product that is summed over the tensor group: who reads the sum waits
    /// for it before another product is computed.
    [[nodiscard]] TokenRows summed(const Slice& own) { return rows_in(summed_, own); }

    [[nodiscard]] TokenRows rows_in(std::optional<Slice>& all, const Slice& own) {
        if (!stage_.sequence_parallel()) {
            return {.own = own, .all = own};
        }
        if (!all) {
            all = scratch_.take(shape_.tokens * shape_.hidden);
        }
        return {.own = own, .all = *all};
    }

    const StageContext& stage_;
    const LocalShape& shape_;
    const LayerParameters& weights_;
    const LayerEnds& ends_;
    Arena& scratch_;
    Linears linears_;
    Activations at_;
    std::optional<Slice> inputs_;
    std::optional<Slice> gradients_;
    std::optional<Slice> summed_;
    OutputGradients kept_;
    BlockWriter block_;
    std::optional<ExpertMlp> experts_;        ///< in place of the MLP
    std::optional<ContextAttention> parted_;  ///< in place of one attention to all keys
};

}  // namespace

std::int64_t saved_per_layer(const StageContext& stage, LayerKind kind) {
    BlockArenas arenas;
    const LayerEnds nowhere;
    const LayerWriter writer(stage, kind, nowhere, arenas, {}, Phase::forward);
    return arenas.saved.end();
}

Block layer_forward(const StageContext& stage,
                    LayerKind kind,
                    const LayerEnds& ends,
                    BlockArenas& arenas) {
    LayerWriter writer(stage, kind, ends, arenas, "layer_forward", Phase::forward);
    writer.forward(ends.output);
    return writer.take();
}

Block layer_backward(const StageContext& stage,
                     LayerKind kind,
                     const LayerEnds& ends,
                     BlockArenas& arenas) {
    LayerWriter writer(stage, kind, ends, arenas, "layer_backward", Phase::backward);
    writer.backward();
    return writer.take();
}

Block layer_weights(const StageContext& stage,
                    LayerKind kind,
                    const LayerEnds& ends,
                    BlockArenas& arenas) {
    LayerWriter writer(stage, kind, ends, arenas, "layer_weights", Phase::weights);
    writer.weight_gradients();
    return writer.take();
}

}  // namespace traindyno
