// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/build.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/volume.hpp"
#include "emulator/program/volume_table.hpp"

namespace traindyno {

namespace {

/// The symbols of collectives/README.md for one stage.
struct Symbols {
    const Model& model;
    const Layout& layout;
    const TrainingSetup& setup;
    bool first = false;
    bool last = false;

    [[nodiscard]] std::int64_t stage_layers() const { return model.layers / layout.pp; }

    [[nodiscard]] std::int64_t runs() const { return micro_batches(layout, setup); }

    [[nodiscard]] std::int64_t tokens() const { return setup.micro_batch * model.seq; }

    /// T h e
    [[nodiscard]] Bytes activation() const {
        return size_of(tokens() * model.hidden, storage_type(setup.precision));
    }

    /// Of the rows that one rank has between layers.
    [[nodiscard]] Bytes own_activation() const {
        const bool cut = setup.sequence_parallel == SequenceParallel::on;
        return Bytes{activation().value() / (cut ? layout.tp : 1)};
    }

    [[nodiscard]] std::int64_t norm() const {
        return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
    }

    /// Of a layer, not cut by t: two norms and the biases of row-parallel layers.
    [[nodiscard]] std::int64_t layer_replicated() const {
        return 2 * norm() + (model.bias == LinearBias::all ? 2 * model.hidden : 0);
    }

    [[nodiscard]] std::int64_t replicated_parameters() const {
        return stage_layers() * layer_replicated() + (last ? norm() : 0);
    }

    /// V_p h / tp
    [[nodiscard]] std::int64_t table() const {
        return padded_vocab(model, layout) / layout.tp * model.hidden;
    }

    [[nodiscard]] std::int64_t stage_parameters() const;
};

std::int64_t Symbols::stage_parameters() const {
    const std::int64_t h = model.hidden;
    const std::int64_t qkv = model.attention_width() + 2 * model.kv_width();
    const std::int64_t up = (model.gated_mlp ? 2 : 1) * model.ffn;
    // Weights of linear layers and biases of column-parallel ones are cut; the rest is not.
    std::int64_t cut = h * (qkv + model.attention_width() + up + model.ffn);
    cut += model.bias != LinearBias::none ? qkv : 0;
    cut += model.bias == LinearBias::all ? up : 0;
    std::int64_t sum = stage_layers() * (cut / layout.tp + layer_replicated());
    sum += first ? table() : 0;
    sum += first && model.positions == Positions::learned ? model.seq * h : 0;
    sum += last ? norm() : 0;
    sum += last && !(first && model.tied_embeddings) ? table() : 0;
    return sum;
}

/// Statistics of each token's logits, which the shards of the vocabulary combine.
void add_token_statistics(const Symbols& at, VolumeTable& table) {
    const std::int64_t count = at.last ? 3 * at.runs() : 0;
    table.add(GroupKind::tp,
              TrafficOp::all_reduce,
              {.count = count, .payload = size_of(count * at.tokens(), DType::fp32)});
}

void add_tensor_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t passes = at.setup.recompute == Recompute::full ? 6 : 4;
    const std::int64_t activations =
        at.runs() * (passes * at.stage_layers() + (at.first ? 1 : 0) + (at.last ? 1 : 0));
    table.add(GroupKind::tp,
              TrafficOp::all_reduce,
              {.count = activations, .payload = activations * at.activation()});
}

/// Every all-reduce becomes a reduce-scatter and an all-gather on the other side of the norm; the
/// inputs of column-parallel layers and of the logits are gathered again in backward.
void add_sequence_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t chunks = at.setup.overlap_tp == Overlap::on ? at.layout.tp : 1;
    const std::int64_t again = at.setup.recompute == Recompute::full ? 2 : 0;
    const std::int64_t layers = at.runs() * at.stage_layers();
    const auto add = [&](TrafficOp op, std::int64_t activations) {
        table.add(GroupKind::tp,
                  op,
                  {.count = activations * chunks, .payload = activations * at.activation()});
    };
    add(TrafficOp::reduce_scatter,
        layers * (4 + again) + at.runs() * ((at.first ? 1 : 0) + (at.last ? 1 : 0)));
    add(TrafficOp::all_gather,
        layers * (6 + again) + at.runs() * ((at.first ? 1 : 0) + (at.last ? 2 : 0)));
    table.add(GroupKind::tp,
              TrafficOp::all_reduce,
              {.count = 1, .payload = size_of(at.replicated_parameters(), DType::fp32)});
}

void add_data_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t gradients = at.stage_parameters();
    const std::int64_t bucket = bucket_elements(at.setup.bucket);
    table.add(
        GroupKind::dp,
        TrafficOp::all_reduce,
        {.count = (gradients + bucket - 1) / bucket, .payload = size_of(gradients, DType::fp32)});
}

void add_pipeline(const Symbols& at, VolumeTable& table) {
    const std::int64_t neighbours = (at.first ? 0 : 1) + (at.last ? 0 : 1);
    const VolumeTable::Tally tally{.count = neighbours * at.runs(),
                                   .payload = neighbours * at.runs() * at.own_activation()};
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
                     .first = stage.value() == 0,
                     .last = stage.value() == layout.pp - 1};
    VolumeTable table;
    table.set_ranks(GroupKind::tp, layout.tp);
    table.set_ranks(GroupKind::dp, layout.dp * layout.cp);
    table.set_ranks(GroupKind::pp, layout.pp);
    table.set_ranks(GroupKind::embedding, 2);
    table.set_ranks(GroupKind::model, layout.tp * layout.pp);
    if (layout.tp > 1) {
        add_token_statistics(at, table);
        if (setup.sequence_parallel == SequenceParallel::on) {
            add_sequence_parallel(at, table);
        } else {
            add_tensor_parallel(at, table);
        }
    }
    if (layout.dp * layout.cp > 1) {
        add_data_parallel(at, table);
    }
    if (layout.pp > 1) {
        add_pipeline(at, table);
        if (model.tied_embeddings && (at.first || at.last)) {
            table.add(GroupKind::embedding,
                      TrafficOp::all_reduce,
                      {.count = 1, .payload = size_of(at.table(), DType::fp32)});
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
