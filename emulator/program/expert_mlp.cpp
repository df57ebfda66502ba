// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/expert_mlp.hpp"

namespace traindyno {

ExpertMlp::ExpertMlp(const StageContext& stage, BlockWriter& block, Arena& kept, Arena& scratch)
    : stage_(stage),
      shape_(stage.shape),
      weights_(stage.parameters.expert_layer),
      block_(block),
      scratch_(scratch),
      tokens_(shape_.own_tokens),
      deferred_(stage.weight_gradients == WeightGradients::deferred),
      slots_(stage.routes.sent()),
      exchange_(stage, block, scratch),
      received_(exchange_.received()) {
    logits_ = kept.take(tokens_ * shape_.experts);
    routing_weights_ = kept.take(tokens_ * shape_.top_k);
    dispatched_ = kept.take(received_ * shape_.hidden);
    up_ = kept.take(received_ * shape_.expert_up_width);
    activated_ = kept.take(received_ * shape_.expert_ffn);
    combined_ = kept.take(slots_ * shape_.hidden);
    shared_up_ = kept.take(shape_.tokens * shape_.shared_up_width);
    shared_activated_ = kept.take(shape_.tokens * shape_.shared_ffn);
    if (deferred_) {
        dprocessed_ = kept.take(received_ * shape_.hidden);
        dup_ = kept.take(received_ * shape_.expert_up_width);
        dlogits_ = kept.take(tokens_ * shape_.experts);
        shared_dup_ = kept.take(shape_.tokens * shape_.shared_up_width);
    }
}

void ExpertMlp::forward(const TokenRows& x, const TokenRows& y) {
    const std::int64_t h = shape_.hidden;
    block_.compute(traindyno::forward(router(), x.own, logits_));
    block_.elementwise(
        ElementwiseKind::router_forward, tokens_, shape_.experts, {logits_}, {routing_weights_});
    const Slice permuted = exchange_.travels() ? scratch_.take(slots_ * h) : dispatched_;
    block_.elementwise(ElementwiseKind::permute_forward, tokens_, h, {x.own}, {permuted});
    const Slice landing = exchange_.sorts() ? scratch_.take(received_ * h) : dispatched_;
    const Slice arriving = exchange_.between(permuted, landing);
    const After arrived = exchange_.exchange(Way::dispatch, permuted, arriving, {});
    const Beside shared = shared_forward(x, y);
    const After gathered = exchange_.gather(arriving, landing, arrived);
    const Slice processed = exchange_.travels() ? scratch_.take(received_ * h) : combined_;
    const After done = experts_forward(
        processed, exchange_.sort(Order::by_expert, landing, dispatched_, gathered));
    const Slice leaving = exchange_.sorts() ? scratch_.take(received_ * h) : processed;
    const Slice returning = exchange_.between(combined_, leaving);
    const After scattered = exchange_.scatter(
        leaving, returning, exchange_.sort(Order::by_sender, processed, leaving, done));
    const After combined = exchange_.exchange(Way::combine, returning, combined_, scattered);
    const Slice routed = shape_.shared_ffn == 0 ? y.own : scratch_.take(tokens_ * h);
    block_.elementwise(ElementwiseKind::unpermute_forward,
                       tokens_,
                       h,
                       {combined_, routing_weights_},
                       {routed},
                       combined);
    add_shared(routed, shared, y.own);
}

void ExpertMlp::backward(const TokenRows& x, const TokenRows& dy, const TokenRows& dx) {
    const std::int64_t h = shape_.hidden;
    const bool stays = !exchange_.travels();
    const Slice dcombined = deferred_ && stays ? dprocessed_ : scratch_.take(slots_ * h);
    const Slice dweights = scratch_.take(tokens_ * shape_.top_k);
    block_.elementwise(ElementwiseKind::unpermute_backward,
                       tokens_,
                       h,
                       {dy.own, combined_, routing_weights_},
                       {dcombined, dweights});
    const Slice dprocessed = stays ? dcombined : kept_or(dprocessed_, received_ * h);
    const Slice landing = exchange_.sorts() ? scratch_.take(received_ * h) : dprocessed;
    const Slice arriving = exchange_.between(dcombined, landing);
    const After arrived = exchange_.exchange(Way::dispatch, dcombined, arriving, {});
    const Slice through_router = router_backward(x.own, dweights);
    const Beside shared = shared_backward(x, dy, dx);
    const After gathered = exchange_.gather(arriving, landing, arrived);
    const Slice ddispatched = scratch_.take(received_ * h);
    const After done = experts_backward(
        dprocessed, ddispatched, exchange_.sort(Order::by_expert, landing, dprocessed, gathered));
    const Slice leaving = exchange_.sorts() ? scratch_.take(received_ * h) : ddispatched;
    const Slice dpermuted = exchange_.travels() ? scratch_.take(slots_ * h) : leaving;
    const Slice returning = exchange_.between(dpermuted, leaving);
    const After scattered = exchange_.scatter(
        leaving, returning, exchange_.sort(Order::by_sender, ddispatched, leaving, done));
    const After returned = exchange_.exchange(Way::combine, returning, dpermuted, scattered);
    if (stage_.sequence_parallel() && !deferred_) {
        down_weight_gradients(dprocessed);
    }
    if (!deferred_) {
        up_weight_gradients();
    }
    const Slice through_experts = scratch_.take(tokens_ * h);
    block_.elementwise(
        ElementwiseKind::permute_backward, tokens_, h, {dpermuted}, {through_experts}, returned);
    const Slice routed = shape_.shared_ffn == 0 ? dx.own : scratch_.take(tokens_ * h);
    block_.elementwise(
        ElementwiseKind::residual_add, tokens_, h, {through_experts, through_router}, {routed});
    add_shared(routed, shared, dx.own);
}

void ExpertMlp::weight_gradients(const TokenRows& x, const TokenRows& dy) {
    down_weight_gradients(dprocessed_);
    up_weight_gradients();
    if (shape_.shared_ffn > 0) {
        block_.row_parallel_weight_gradient(shared_down(), shared_activated_, dy);
        block_.column_parallel_weight_gradient(shared_up(), x, shared_dup_);
    }
    block_.compute(weight_gradient(router(), x.own, dlogits_));
}

Slice ExpertMlp::kept_or(const Slice& kept, std::int64_t elements) {
    return kept.elements > 0 ? kept : scratch_.take(elements);
}

void ExpertMlp::add_shared(const Slice& routed, const Beside& shared, const Slice& sum) {
    if (shape_.shared_ffn > 0) {
        block_.elementwise(ElementwiseKind::residual_add,
                           tokens_,
                           shape_.hidden,
                           {routed, shared.result},
                           {sum},
                           shared.ready);
    }
}

TokenRows ExpertMlp::take_beside(const TokenRows& routed) {
    const Slice own = scratch_.take(tokens_ * shape_.hidden);
    return {.own = own, .all = stage_.sequence_parallel() ? routed.all : own};
}

ExpertMlp::Beside ExpertMlp::shared_forward(const TokenRows& x, const TokenRows& y) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const TokenRows result = take_beside(y);
    block_.column_parallel_forward(shared_up(), x, shared_up_);
    block_.activation_forward(shape_.tokens, shape_.shared_ffn, shared_up_, shared_activated_);
    return {.result = result.own,
            .ready = block_.row_parallel_forward(shared_down(), shared_activated_, result)};
}

ExpertMlp::Beside ExpertMlp::shared_backward(const TokenRows& x,
                                             const TokenRows& dy,
                                             const TokenRows& dx) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const Slice dactivated = scratch_.take(shape_.tokens * shape_.shared_ffn);
    const Slice dup = kept_or(shared_dup_, shape_.tokens * shape_.shared_up_width);
    const TokenRows result = take_beside(dx);
    block_.row_parallel_backward(shared_down(), shared_activated_, dy, dactivated);
    block_.activation_backward(shape_.tokens, shape_.shared_ffn, {shared_up_, dactivated}, dup);
    return {.result = result.own,
            .ready = block_.column_parallel_backward(shared_up(), x, dup, result)};
}

Slice ExpertMlp::router_backward(const Slice& x, const Slice& dweights) {
    const Slice dlogits = kept_or(dlogits_, tokens_ * shape_.experts);
    const Slice dx = scratch_.take(tokens_ * shape_.hidden);
    block_.elementwise(
        ElementwiseKind::router_backward, tokens_, shape_.experts, {logits_, dweights}, {dlogits});
    block_.compute(input_gradient(router(), dlogits, dx));
    if (!deferred_) {
        block_.compute(weight_gradient(router(), x, dlogits));
    }
    return dx;
}

After ExpertMlp::experts_forward(const Slice& processed, const After& arrived) {
    After after = arrived;
    for_experts([&](std::int64_t local) {
        const Linear up = expert_up(local);
        block_.compute(
            traindyno::forward(up, exchange_.rows(dispatched_, local), exchange_.rows(up_, local)),
            after);
        after.clear();
    });
    block_.activation_forward(received_, shape_.expert_ffn, up_, activated_);
    for_experts([&](std::int64_t local) {
        block_.compute(traindyno::forward(expert_down(local),
                                          exchange_.rows(activated_, local),
                                          exchange_.rows(processed, local)));
    });
    return stage_.sequence_parallel() ? After{} : block_.all_reduce_over_tp(processed);
}

/// Gradients of the down projections' weights are computed while those of the inputs are summed
/// over the tensor group, those of the up projections while they travel; with sequence parallelism
/// both while they are scattered and travel.
After ExpertMlp::experts_backward(const Slice& dprocessed,
                                  const Slice& ddispatched,
                                  const After& arrived) {
    const Slice dactivated = scratch_.take(received_ * shape_.expert_ffn);
    dup_ = kept_or(dup_, received_ * shape_.expert_up_width);
    After after = arrived;
    for_experts([&](std::int64_t local) {
        block_.compute(input_gradient(expert_down(local),
                                      exchange_.rows(dprocessed, local),
                                      exchange_.rows(dactivated, local)),
                       after);
        after.clear();
    });
    block_.activation_backward(received_, shape_.expert_ffn, {up_, dactivated}, dup_);
    for_experts([&](std::int64_t local) {
        block_.compute(input_gradient(
            expert_up(local), exchange_.rows(dup_, local), exchange_.rows(ddispatched, local)));
    });
    if (stage_.sequence_parallel()) {
        return {};
    }
    After reduced = block_.all_reduce_over_tp(ddispatched);
    if (!deferred_) {
        down_weight_gradients(dprocessed);
    }
    return reduced;
}

void ExpertMlp::down_weight_gradients(const Slice& dprocessed) {
    for_experts([&](std::int64_t local) {
        block_.compute(weight_gradient(expert_down(local),
                                       exchange_.rows(activated_, local),
                                       exchange_.rows(dprocessed, local)));
    });
}

void ExpertMlp::up_weight_gradients() {
    for_experts([&](std::int64_t local) {
        block_.compute(weight_gradient(
            expert_up(local), exchange_.rows(dispatched_, local), exchange_.rows(dup_, local)));
    });
}

Linear ExpertMlp::router() const {
    return {
        .tokens = tokens_, .in = shape_.hidden, .out = shape_.experts, .weight = weights_.router};
}

BiasedLinear ExpertMlp::shared_up() const {
    return {.linear = {.tokens = shape_.tokens,
                       .in = shape_.hidden,
                       .out = shape_.shared_up_width,
                       .weight = weights_.shared_up},
            .bias = {}};
}

BiasedLinear ExpertMlp::shared_down() const {
    return {.linear = {.tokens = shape_.tokens,
                       .in = shape_.shared_ffn,
                       .out = shape_.hidden,
                       .weight = weights_.shared_down},
            .bias = {}};
}

Linear ExpertMlp::expert_up(std::int64_t local) const {
    return {.tokens = exchange_.rows_of(local),
            .in = shape_.hidden,
            .out = shape_.expert_up_width,
            .weight = weights_.experts[static_cast<std::size_t>(local)].up};
}

Linear ExpertMlp::expert_down(std::int64_t local) const {
    return {.tokens = exchange_.rows_of(local),
            .in = shape_.expert_ffn,
            .out = shape_.hidden,
            .weight = weights_.experts[static_cast<std::size_t>(local)].down};
}

}  // namespace traindyno
