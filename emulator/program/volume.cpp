// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/volume.hpp"

#include <array>
#include <string_view>

#include "emulator/base/overloaded.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/gradient_buckets.hpp"

namespace traindyno {

namespace {

constexpr std::array<std::string_view, 3> op_names{"all_reduce", "send", "recv"};

std::size_t name_index(const CommOp& op) {
    return std::visit(Overloaded{[](const AllReduce&) { return std::size_t{0}; },
                                 [](const Send&) { return std::size_t{1}; },
                                 [](const Recv&) { return std::size_t{2}; }},
                      op);
}

/// Ring all-reduce: every rank sends 2(n-1) parts of 1/n. A send sends all, a receive nothing.
Bytes wire_bytes(std::string_view op, Bytes payload, std::int64_t ranks) {
    if (op == "all_reduce") {
        return Bytes{2 * (ranks - 1) * payload.value() / ranks};
    }
    return op == "send" ? payload : Bytes{0};
}

struct Tally {
    std::int64_t count = 0;
    Bytes payload;
};

/// Tallies per group kind and operation name.
class VolumeTable {
  public:
    void add(GroupKind kind, std::size_t name, const Tally& tally) {
        Tally& sum = tallies_[static_cast<std::size_t>(kind)][name];
        sum.count += tally.count;
        sum.payload += tally.payload;
    }

    void set_ranks(GroupKind kind, std::int64_t ranks) {
        ranks_[static_cast<std::size_t>(kind)] = ranks;
    }

    [[nodiscard]] std::vector<Volume> volumes() const {
        std::vector<Volume> list;
        for (std::size_t kind = 0; kind < tallies_.size(); ++kind) {
            for (std::size_t name = 0; name < op_names.size(); ++name) {
                const Tally& tally = tallies_[kind][name];
                if (tally.count > 0) {
                    list.push_back(
                        {.group = static_cast<GroupKind>(kind),
                         .op = std::string(op_names[name]),
                         .count = tally.count,
                         .payload = tally.payload,
                         .on_the_wire = wire_bytes(op_names[name], tally.payload, ranks_[kind])});
                }
            }
        }
        return list;
    }

  private:
    std::array<std::array<Tally, op_names.size()>, enum_count<GroupKind>> tallies_{};
    std::array<std::int64_t, enum_count<GroupKind>> ranks_{};
};

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
        0,
        {.count = activations + per_token,
         .payload = activations * at.activation() + size_of(per_token * at.tokens(), DType::fp32)});
}

void add_data_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t gradients = at.stage_parameters();
    const std::int64_t bucket = bucket_elements(at.setup.bucket);
    table.add(
        GroupKind::dp,
        0,
        {.count = (gradients + bucket - 1) / bucket, .payload = size_of(gradients, DType::fp32)});
}

void add_pipeline(const Symbols& at, VolumeTable& table) {
    const std::int64_t neighbours = (at.first ? 0 : 1) + (at.last ? 0 : 1);
    const Tally tally{.count = neighbours * at.runs(),
                      .payload = neighbours * at.runs() * at.activation()};
    table.add(GroupKind::pp, 1, tally);
    table.add(GroupKind::pp, 2, tally);
}

}  // namespace

std::vector<Volume> counted_volumes(const StepProgram& program) {
    VolumeTable table;
    for (const Group& group : program.groups) {
        table.set_ranks(group.kind, group.size());
    }
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks.at(task.block.index()).ops) {
            if (const auto* communication = std::get_if<CommOp>(&op.op)) {
                table.add(program.groups.at(group_id(*communication).index()).kind,
                          name_index(*communication),
                          {.count = 1, .payload = payload(*communication)});
            }
        }
    }
    return table.volumes();
}

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
        add_tensor_parallel(at, table);
    }
    if (layout.dp * layout.cp > 1) {
        add_data_parallel(at, table);
    }
    if (layout.pp > 1) {
        add_pipeline(at, table);
        if (model.tied_embeddings && (at.first || at.last)) {
            table.add(
                GroupKind::embedding, 0, {.count = 1, .payload = size_of(at.table(), DType::fp32)});
        }
    }
    if (layout.tp * layout.pp > 1) {
        table.add(GroupKind::model, 0, {.count = 1, .payload = size_of(1, DType::fp32)});
    }
    return table.volumes();
}

}  // namespace traindyno
