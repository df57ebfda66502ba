// SPDX-License-Identifier: Apache-2.0
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

    [[nodiscard]] std::int64_t stage_parameters() const;
};

std::int64_t Symbols::stage_parameters() const {
    const std::int64_t h = model.hidden;
    const std::int64_t qkv = model.attention_width() + 2 * model.kv_width();
    const std::int64_t up = (model.gated_mlp ? 2 : 1) * model.ffn;
    const std::int64_t norm = (model.norm == Norm::layernorm ? 2 : 1) * h;
    // Weights of linear layers and biases of column-parallel ones are cut; the rest is not.
    std::int64_t cut = h * (qkv + model.attention_width() + up + model.ffn);
    std::int64_t whole = 2 * norm;
    cut += model.bias != LinearBias::none ? qkv : 0;
    cut += model.bias == LinearBias::all ? up : 0;
    whole += model.bias == LinearBias::all ? 2 * h : 0;
    std::int64_t sum = stage_layers() * (cut / layout.tp + whole);
    sum += first ? table() : 0;
    sum += first && model.positions == Positions::learned ? model.seq * h : 0;
    sum += last ? norm : 0;
    sum += last && !(first && model.tied_embeddings) ? table() : 0;
    return sum;
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

void add_data_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t gradients = at.stage_parameters();
    const std::int64_t bucket = bucket_elements(at.setup.bucket);
    table.add(
        GroupKind::dp,
        TrafficOp::all_reduce,
        {.count = (gradients + bucket - 1) / bucket, .payload = size_of(gradients, DType::fp32)});
}

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
    table.set_ranks(GroupKind::dp, layout.dp * layout.cp);
    table.set_ranks(GroupKind::pp, layout.pp);
    table.set_ranks(GroupKind::embedding, 2);
    table.set_ranks(GroupKind::model, layout.tp * layout.pp);
    if (layout.tp > 1) {
        add_tensor_parallel(at, table);
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
