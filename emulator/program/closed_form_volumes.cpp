// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/arena.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/stage_layers.hpp"
#include "emulator/program/volume.hpp"
#include "emulator/program/volume_table.hpp"

namespace traindyno {

namespace {

/// The symbols of collectives/README.md for one stage.
struct Symbols {
    const Model& model;
    const Layout& layout;
    const TrainingSetup& setup;
    Stage stage;
    bool first = false;
    bool last = false;

    [[nodiscard]] std::int64_t stage_layers() const {
        return layers_of_stage(model, layout, setup, stage);
    }

    [[nodiscard]] std::int64_t runs() const { return micro_batches(layout, setup); }

    [[nodiscard]] std::int64_t tokens() const { return setup.micro_batch * model.seq; }

    [[nodiscard]] Bytes activation() const {
        return size_of(tokens() * model.hidden, storage_type(setup.precision));
    }

    /// V_p h / tp
    [[nodiscard]] std::int64_t table() const {
        return padded_vocab(model, layout) / layout.tp * model.hidden;
    }

    [[nodiscard]] std::int64_t positions() const {
        return model.positions == Positions::learned ? model.seq * model.hidden : 0;
    }

    [[nodiscard]] std::int64_t norm() const {
        return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
    }

    /// First and last stage in one, which share the table.
    [[nodiscard]] bool shared_table() const { return first && last && model.tied_embeddings; }

    [[nodiscard]] std::int64_t layer_parameters() const;

    /// Final norm, and an output table of its own.
    [[nodiscard]] std::int64_t output_parameters() const {
        return last ? norm() + (shared_table() ? 0 : table()) : 0;
    }

    [[nodiscard]] std::int64_t input_parameters() const {
        return first ? table() + positions() : 0;
    }

    [[nodiscard]] std::int64_t stage_parameters() const {
        return output_parameters() + stage_layers() * layer_parameters() + input_parameters();
    }
};

std::int64_t Symbols::layer_parameters() const {
    const std::int64_t h = model.hidden;
    const std::int64_t qkv = model.attention_width() + 2 * model.kv_width();
    const std::int64_t up = (model.gated_mlp ? 2 : 1) * model.ffn;
    // Weights of linear layers and biases of column-parallel ones are cut; the rest is not.
    std::int64_t cut = h * (qkv + model.attention_width() + up + model.ffn);
    std::int64_t whole = 2 * norm();
    cut += model.bias != LinearBias::none ? qkv : 0;
    cut += model.bias == LinearBias::all ? up : 0;
    whole += model.bias == LinearBias::all ? 2 * h : 0;
    return cut / layout.tp + whole;
}

void add_tensor_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t passes = at.setup.recompute == Recompute::full ? 6 : 4;
    const std::int64_t activations =
        at.runs() * (passes * at.stage_layers() + (at.first ? 1 : 0) + (at.last ? 1 : 0));
    const std::int64_t per_token = at.last ? 3 * at.runs() : 0;
    table.add(
        GroupKind::tp,
        TrafficOp::all_reduce,
        {.count = activations + per_token,
         .payload = activations * at.activation() + size_of(per_token * at.tokens(), DType::fp32)});
}

/// What is cut into shards or buckets by itself: `count` pieces of `elements`, which are gathered
/// `gatherings` times a step.
struct Piece {
    std::int64_t elements = 0;
    std::int64_t count = 1;
    std::int64_t gatherings = 1;
};

/// collectives/README.md, "Sharded data parallelism".
class DataParallelForm {
  public:
    explicit DataParallelForm(const Symbols& at)
        : at_(at),
          replicas_(at.layout.dp * at.layout.cp),
          shards_(at.setup.zero == Zero::none ? 1
                  : at.layout.shard > 0       ? at.layout.shard
                                              : replicas_),
          accumulates_(at.setup.gradient_reduction == GradientReduction::every_micro_batch &&
                       at.runs() > 1),
          own_table_(at.setup.zero != Zero::none && at.model.tied_embeddings && at.layout.pp > 1) {}

    void add_to(VolumeTable& table) const {
        const bool hybrid = shards_ > 1 && shards_ < replicas_;
        const GroupKind kind = hybrid ? GroupKind::dp_shard : GroupKind::dp;
        table.set_ranks(kind, hybrid ? shards_ : replicas_);
        table.set_ranks(GroupKind::dp_replicate, replicas_ / shards_);
        const std::int64_t reductions = accumulates_ ? at_.runs() : 1;
        for (const Piece& piece : pieces()) {
            const std::int64_t elements = padded(piece.elements);
            const std::int64_t buckets = piece.count * buckets_in(elements);
            const std::int64_t reduced = reductions * piece.count * elements;
            if (shards_ == 1) {
                table.add(kind, TrafficOp::all_reduce, gradients(reductions * buckets, reduced));
                continue;
            }
            table.add(kind, TrafficOp::reduce_scatter, gradients(reductions * buckets, reduced));
            if (hybrid) {
                table.add(GroupKind::dp_replicate,
                          TrafficOp::all_reduce,
                          gradients(reductions * buckets, reduced / shards_));
            }
            table.add(kind,
                      TrafficOp::all_gather,
                      {.count = piece.gatherings * buckets,
                       .payload = size_of(piece.gatherings * piece.count * elements,
                                          storage_type(at_.setup.precision))});
        }
        if (shards_ > 1) {
            table.add(
                kind, TrafficOp::all_reduce, {.count = 1, .payload = size_of(1, DType::fp32)});
        }
    }

    /// Of the tied table's gradient that two stages add up.
    [[nodiscard]] VolumeTable::Tally embedding() const {
        const bool in_shards =
            at_.setup.zero >= Zero::gradients && (accumulates_ || at_.runs() == 1);
        return gradients(1,
                         replicas_ > 1 && in_shards ? padded(at_.table()) / shards_ : at_.table());
    }

  private:
    /// The whole stage at once unless each unit is cut by itself.
    [[nodiscard]] std::vector<Piece> pieces() const {
        const bool by_unit = at_.setup.zero >= Zero::gradients || accumulates_;
        const bool per_use = at_.setup.zero == Zero::parameters;
        const std::int64_t once = per_use ? at_.runs() : 1;
        const Piece layers{.elements = at_.layer_parameters(),
                           .count = at_.stage_layers(),
                           .gatherings = per_use ? 2 * at_.runs() : 1};
        if (by_unit && at_.shared_table()) {
            return {{.elements = at_.input_parameters() + at_.norm(),
                     .gatherings = (per_use ? 2 : 1) * once},
                    layers};
        }
        std::vector<Piece> list;
        if (by_unit) {
            list.push_back(layers);
        }
        const std::int64_t rest = by_unit ? 0 : at_.stage_layers() * at_.layer_parameters();
        if (own_table_ && at_.first) {
            list.push_back({.elements = at_.table(), .gatherings = once});
            list.push_back({.elements = at_.positions(), .gatherings = once});
            list.push_back({.elements = rest, .gatherings = once});
        } else if (own_table_ && at_.last) {
            list.push_back({.elements = at_.table(), .gatherings = once});
            list.push_back({.elements = rest + at_.norm(), .gatherings = once});
        } else if (by_unit) {
            list.push_back({.elements = at_.output_parameters(), .gatherings = once});
            list.push_back({.elements = at_.input_parameters(), .gatherings = once});
        } else {
            list.push_back({.elements = at_.stage_parameters(), .gatherings = once});
        }
        return list;
    }

    [[nodiscard]] std::int64_t multiple() const {
        return at_.setup.zero == Zero::none && !accumulates_ ? 1 : shards_ * arena_alignment;
    }

    [[nodiscard]] std::int64_t padded(std::int64_t elements) const {
        return (elements + multiple() - 1) / multiple() * multiple();
    }

    [[nodiscard]] std::int64_t buckets_in(std::int64_t elements) const {
        if (at_.setup.zero == Zero::parameters) {
            return elements > 0 ? 1 : 0;
        }
        const std::int64_t bucket =
            padded(bucket_elements(at_.setup.bucket, at_.setup.gradient_type));
        return (elements + bucket - 1) / bucket;
    }

    [[nodiscard]] VolumeTable::Tally gradients(std::int64_t count, std::int64_t elements) const {
        return {.count = count, .payload = size_of(elements, at_.setup.gradient_type)};
    }

    const Symbols& at_;
    std::int64_t replicas_;
    std::int64_t shards_;
    bool accumulates_;
    bool own_table_;
};

void add_pipeline(const Symbols& at, VolumeTable& table) {
    // Each chunk has a boundary on either side, but the first and the last of the model.
    const std::int64_t neighbours =
        2 * at.setup.virtual_stages - (at.first ? 1 : 0) - (at.last ? 1 : 0);
    const VolumeTable::Tally tally{.count = neighbours * at.runs(),
                                   .payload = neighbours * at.runs() * at.activation()};
    table.add(GroupKind::pp, TrafficOp::send, tally);
    table.add(GroupKind::pp, TrafficOp::recv, tally);
}

}  // namespace

std::vector<Volume> closed_form_volumes(const Model& model,
                                        const Layout& layout,
                                        const TrainingSetup& setup,
                                        Stage stage) {
    const Symbols at{.model = model,
                     .layout = layout,
                     .setup = setup,
                     .stage = stage,
                     .first = stage.value() == 0,
                     .last = stage.value() == layout.pp - 1};
    VolumeTable table;
    table.set_ranks(GroupKind::tp, layout.tp);
    table.set_ranks(GroupKind::pp, layout.pp);
    table.set_ranks(GroupKind::embedding, 2);
    table.set_ranks(GroupKind::model, layout.tp * layout.pp);
    if (layout.tp > 1) {
        add_tensor_parallel(at, table);
    }
    const DataParallelForm data_parallel(at);
    if (layout.dp * layout.cp > 1) {
        data_parallel.add_to(table);
    }
    if (layout.pp > 1) {
        add_pipeline(at, table);
        if (model.tied_embeddings && (at.first || at.last)) {
            table.add(GroupKind::embedding, TrafficOp::all_reduce, data_parallel.embedding());
        }
    }
    if (layout.tp * layout.pp > 1) {
        table.add(GroupKind::model,
                  TrafficOp::all_reduce,
                  {.count = 1, .payload = size_of(1, DType::fp32)});
    }
    return table.volumes();
}

}  // namespace traindyno
