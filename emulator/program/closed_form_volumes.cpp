// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "emulator/program/arena.hpp"
#include "emulator/program/closed_form_symbols.hpp"
#include "emulator/program/expert_routes.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/volume.hpp"
#include "emulator/program/volume_table.hpp"

namespace traindyno {

namespace {

/// Whether gradients are reduced unit by unit after each micro-batch, in buffers.
bool in_unit_buffers(const Symbols& at) {
    const bool accumulates =
        at.setup.gradient_reduction == GradientReduction::every_micro_batch && at.runs() > 1;
    const bool shared = at.layout.dp * at.layout.cp > 1;
    return shared && (accumulates || (at.setup.zero >= Zero::gradients && at.runs() == 1));
}

ExpertRoutes routes_of(const Symbols& at) {
    return {at.model, at.layout, at.setup, at.tokens() / at.parts()};
}

/// Statistics of each token's logits, which the shards of the vocabulary combine.
void add_token_statistics(const Symbols& at, VolumeTable& table) {
    const std::int64_t count = at.last ? 3 * at.runs() : 0;
    table.add(GroupKind::tp,
              TrafficOp::all_reduce,
              {.count = count, .payload = size_of(count * at.tokens(), DType::fp32)});
}

/// Attention, and the MLP or shared experts.
std::int64_t halves_of_layers(const Symbols& at) {
    return at.stage_layers() + at.dense_layers() +
           (at.model.shared_experts > 0 ? at.expert_layers() : 0);
}

void add_tensor_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t passes = at.setup.recompute == Recompute::full ? 3 : 2;
    const std::int64_t activations =
        at.runs() * (passes * halves_of_layers(at) + (at.first ? 1 : 0) + (at.last ? 1 : 0));
    table.add(GroupKind::tp,
              TrafficOp::all_reduce,
              {.count = activations, .payload = activations * at.activation()});
    if (at.expert_layers() > 0) {
        const ExpertRoutes routes = routes_of(at);
        const std::int64_t reductions = at.runs() * passes * at.expert_layers();
        table.add(
            GroupKind::tp,
            TrafficOp::all_reduce,
            {.count = reductions,
             .payload = size_of(reductions * routes.received(at.expert_position) * at.model.hidden,
                                storage_type(at.setup.precision))});
    }
}

/// Keys and values of each rank's tokens, and in backward their gradients too, reach every other
/// rank: hop by hop, or gathered and reduced at once.
void add_context_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t forwards = at.setup.recompute == Recompute::none ? 1 : 2;
    const std::int64_t layers = at.runs() * at.stage_layers();
    const std::int64_t elements = at.tokens() * 2 * at.model.kv_width() / at.layout.tp;
    const auto tally = [&](std::int64_t count, std::int64_t ranks) {
        return VolumeTable::Tally{.count = layers * count,
                                  .payload = size_of(layers * count * ranks * elements,
                                                     storage_type(at.setup.precision))};
    };
    if (at.setup.context_exchange == ContextExchange::ring) {
        VolumeTable::Tally hops = tally((forwards + 2) * (at.layout.cp - 1), 1);
        hops.uneven = hops.payload;
        hops.uneven_sent = hops.payload;
        table.add(GroupKind::cp, TrafficOp::all_to_all, hops);
    } else {
        table.add(GroupKind::cp, TrafficOp::all_gather, tally(forwards + 1, at.layout.cp));
        table.add(GroupKind::cp, TrafficOp::reduce_scatter, tally(1, at.layout.cp));
    }
}

void add_expert_parallel(const Symbols& at, VolumeTable& table) {
    if (at.expert_layers() == 0) {
        return;
    }
    table.set_ranks(GroupKind::ep, at.layout.ep);
    const ExpertRoutes routes = routes_of(at);
    const auto bytes = [&](std::int64_t rows) {
        return size_of(rows * at.model.hidden, storage_type(at.setup.precision));
    };
    const std::int64_t sent = routes.sent();
    const std::int64_t received = routes.received(at.expert_position);
    const std::int64_t kept = routes.rows_to(at.expert_position);
    const std::int64_t passes =
        at.runs() * at.expert_layers() * (at.setup.recompute == Recompute::full ? 3 : 2);
    VolumeTable::Tally tally{.count = 2 * passes,
                             .payload = 2 * passes * bytes(std::max(sent, received))};
    if (!routes.equal_parts()) {
        tally.uneven = tally.payload;
        tally.uneven_sent = passes * (bytes(sent - kept) + bytes(received - kept));
    }
    table.add(GroupKind::ep, TrafficOp::all_to_all, tally);
    if (at.setup.zero == Zero::none) {
        table.add(
            GroupKind::ep, TrafficOp::all_reduce, {.count = 1, .payload = size_of(1, DType::fp32)});
    }
}

/// Gradients of what tensor-parallel ranks hold alike: all at once, or of each unit whenever data
/// parallelism takes its gradients apart.
VolumeTable::Tally replicated(const Symbols& at) {
    const std::int64_t elements = at.replicated_parameters();
    if (!in_unit_buffers(at)) {
        return {.count = 1, .payload = size_of(elements, at.setup.gradient_type)};
    }
    // Neighbouring weights of a layer are one piece: two norms, and where there are biases the
    // projection's in front of the second norm and the last one.
    // A router follows the second norm, in place of a bias.
    const std::int64_t pieces = at.model.bias == LinearBias::all ? 3 : 2;
    return {.count = at.runs() * (at.stage_layers() * pieces + (at.last ? 1 : 0)),
            .payload = size_of(at.runs() * elements, at.setup.gradient_type)};
}

/// Rows that come to a rank's experts are gathered before them, and scattered after them.
void add_gathered_rows(const Symbols& at, VolumeTable& table) {
    const std::int64_t passes = at.setup.recompute == Recompute::full ? 3 : 2;
    const std::int64_t count = at.runs() * passes * at.expert_layers();
    const std::int64_t rows =
        count > 0 ? at.layout.tp * routes_of(at).received(at.expert_position) : 0;
    for (const TrafficOp op : {TrafficOp::all_gather, TrafficOp::reduce_scatter}) {
        table.add(
            GroupKind::tp,
            op,
            {.count = count,
             .payload = size_of(count * rows * at.model.hidden, storage_type(at.setup.precision))});
    }
}

/// Every all-reduce becomes a reduce-scatter and an all-gather on the other side of the norm; the
/// inputs of column-parallel layers and of the logits are gathered again in backward.
void add_sequence_parallel(const Symbols& at, VolumeTable& table) {
    const std::int64_t chunks = at.setup.overlap_tp == Overlap::on ? at.layout.tp : 1;
    const std::int64_t again = at.setup.recompute == Recompute::full ? 2 : 0;
    // Weight gradients that run later gather the gradients of row-parallel outputs once more.
    const std::int64_t deferred = at.setup.schedule == Schedule::zero_bubble ? 2 : 0;
    const std::int64_t halves = at.runs() * halves_of_layers(at);
    const auto add = [&](TrafficOp op, std::int64_t activations) {
        table.add(GroupKind::tp,
                  op,
                  {.count = activations * chunks, .payload = activations * at.activation()});
    };
    add(TrafficOp::reduce_scatter,
        halves * (4 + again) / 2 + at.runs() * ((at.first ? 1 : 0) + (at.last ? 1 : 0)));
    add(TrafficOp::all_gather,
        halves * (6 + again + deferred) / 2 + at.runs() * ((at.first ? 1 : 0) + (at.last ? 2 : 0)));
    add_gathered_rows(at, table);
    table.add(GroupKind::tp, TrafficOp::all_reduce, replicated(at));
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
        for (const Piece& piece : pieces()) {
            add_piece(kind, shards_, piece, table);
        }
        if (shards_ > 1) {
            table.add(
                kind, TrafficOp::all_reduce, {.count = 1, .payload = size_of(1, DType::fp32)});
        }
        if (at_.layout.ep > 1 && replicas_ > at_.layout.ep) {
            const std::int64_t copies = replicas_ / at_.layout.ep;
            table.set_ranks(GroupKind::expert_dp, copies);
            add_piece(GroupKind::expert_dp,
                      shards_ > 1 ? copies : 1,
                      {.elements = at_.experts(),
                       .count = at_.expert_layers(),
                       .gatherings = gatherings_of_layers()},
                      table);
        }
    }

    /// Of the tied table's gradient that two stages add up.
    [[nodiscard]] VolumeTable::Tally embedding() const {
        const bool in_shards =
            at_.setup.zero >= Zero::gradients && (accumulates_ || at_.runs() == 1);
        return gradients(
            1, replicas_ > 1 && in_shards ? padded(at_.table(), shards_) / shards_ : at_.table());
    }

  private:
    /// Reduced over, and gathered from, `shards` ranks, which are all in `kind` but in hybrid
    /// groups.
    void add_piece(GroupKind kind,
                   std::int64_t shards,
                   const Piece& piece,
                   VolumeTable& table) const {
        const std::int64_t reductions = accumulates_ ? at_.runs() : 1;
        const std::int64_t elements = padded(piece.elements, shards);
        const std::int64_t buckets = piece.count * buckets_in(elements);
        const std::int64_t reduced = reductions * piece.count * elements;
        if (shards == 1) {
            table.add(kind, TrafficOp::all_reduce, gradients(reductions * buckets, reduced));
            return;
        }
        table.add(kind, TrafficOp::reduce_scatter, gradients(reductions * buckets, reduced));
        if (kind == GroupKind::dp_shard) {
            table.add(GroupKind::dp_replicate,
                      TrafficOp::all_reduce,
                      gradients(reductions * buckets, reduced / shards));
        }
        table.add(kind,
                  TrafficOp::all_gather,
                  {.count = piece.gatherings * buckets,
                   .payload = size_of(piece.gatherings * piece.count * elements,
                                      storage_type(at_.setup.precision))});
    }

    [[nodiscard]] std::int64_t gatherings_of_layers() const {
        return at_.setup.zero == Zero::parameters ? 2 * at_.runs() : 1;
    }

    /// The whole stage at once unless each unit is cut by itself.
    [[nodiscard]] std::vector<Piece> pieces() const {
        const bool apart = at_.layout.ep > 1;
        const bool by_unit = at_.setup.zero >= Zero::gradients || accumulates_ ||
                             (apart && at_.setup.zero != Zero::none);
        const bool per_use = at_.setup.zero == Zero::parameters;
        const std::int64_t once = per_use ? at_.runs() : 1;
        const std::int64_t per_layer = gatherings_of_layers();
        const Piece dense{.elements = at_.layer_parameters(LayerKind::dense),
                          .count = at_.dense_layers(),
                          .gatherings = per_layer};
        const Piece experts{
            .elements = at_.layer_parameters(LayerKind::experts) + (apart ? 0 : at_.experts()),
            .count = at_.expert_layers(),
            .gatherings = per_layer};
        if (by_unit && at_.shared_table()) {
            return {{.elements = at_.input_parameters() + at_.norm(),
                     .gatherings = (per_use ? 2 : 1) * once},
                    dense,
                    experts};
        }
        if (apart && !by_unit && at_.expert_layers() > 0) {
            return pieces_between_experts();
        }
        std::vector<Piece> list;
        if (by_unit) {
            list = {dense, experts};
        }
        const std::int64_t rest = by_unit ? 0 : at_.all_layers();
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

    /// What the experts' own gradients, which go another way, leave in one place.
    [[nodiscard]] std::vector<Piece> pieces_between_experts() const {
        const std::int64_t common = at_.layer_parameters(LayerKind::experts);
        return {{.elements = at_.output_parameters() + common},
                {.elements = common, .count = at_.expert_layers() - 1},
                {.elements = at_.dense_layers() * at_.layer_parameters(LayerKind::dense) +
                             at_.input_parameters()}};
    }

    [[nodiscard]] std::int64_t padded(std::int64_t elements, std::int64_t shards) const {
        const std::int64_t multiple =
            at_.setup.zero == Zero::none && !accumulates_ ? 1 : shards * arena_alignment;
        return (elements + multiple - 1) / multiple * multiple;
    }

    [[nodiscard]] std::int64_t buckets_in(std::int64_t elements) const {
        if (at_.setup.zero == Zero::parameters) {
            return elements > 0 ? 1 : 0;
        }
        const std::int64_t bucket =
            padded(bucket_elements(at_.setup.bucket, at_.setup.gradient_type), shards_);
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
                                   .payload = neighbours * at.runs() * at.own_activation()};
    table.add(GroupKind::pp, TrafficOp::send, tally);
    table.add(GroupKind::pp, TrafficOp::recv, tally);
}

}  // namespace

std::vector<Volume> closed_form_volumes(const Model& model,
                                        const Layout& layout,
                                        const TrainingSetup& setup,
                                        Stage stage,
                                        std::int64_t expert_position) {
    const Symbols at{.model = model,
                     .layout = layout,
                     .setup = setup,
                     .stage = stage,
                     .expert_position = expert_position,
                     .first = stage.value() == 0,
                     .last = stage.value() == layout.pp - 1};
    VolumeTable table;
    table.set_ranks(GroupKind::tp, layout.tp);
    table.set_ranks(GroupKind::cp, layout.cp);
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
    if (layout.cp > 1) {
        add_context_parallel(at, table);
    }
    if (layout.ep > 1) {
        add_expert_parallel(at, table);
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
