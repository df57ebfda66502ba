// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/optimizer_block.hpp"

namespace traindyno {

namespace {

/// Whether a sum begins or is added to.
enum class First : std::uint8_t { no, yes };

void sum_squares(BlockWriter& block,
                 const std::vector<Slice>& pieces,
                 const Slice& norm,
                 First first,
                 const After& after) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        std::vector<Slice> reads{pieces[i]};
        if (i > 0 || first == First::no) {
            reads.push_back(norm);
        }
        block.elementwise(ElementwiseKind::sum_of_squares,
                          1,
                          pieces[i].elements,
                          std::move(reads),
                          {norm},
                          i == 0 ? after : After{});
    }
}

std::vector<Slice> gradients_of(const std::vector<OptimizerStep>& updates) {
    std::vector<Slice> gradients;
    gradients.reserve(updates.size());
    for (const OptimizerStep& update : updates) {
        gradients.push_back(slice_of(update, Space::gradient));
    }
    return gradients;
}

}  // namespace

NormPieces norm_pieces_apart(const ParameterMap& map) {
    NormPieces pieces;
    const auto add = [](std::vector<Slice>& list, std::int64_t offset, std::int64_t elements) {
        if (elements > 0) {
            list.push_back({.space = Space::gradient, .offset = offset, .elements = elements});
        }
    };
    add(pieces.others, 0, map.output_elements);
    for (std::int64_t layer = map.layers - 1; layer >= 0; --layer) {
        const LayerParameters& weights = map.of(map.kind_of(layer));
        const std::int64_t base = map.layer_base(layer);
        add(pieces.others, base, weights.common);
        add(pieces.experts, base + weights.common, weights.elements - weights.common);
    }
    const Bucket input = map.range_of({.kind = UnitKind::embedding});
    add(pieces.others, map.resident(input.offset), input.elements);
    return pieces;
}

Block optimizer_block(const StageContext& stage,
                      const std::vector<OptimizerStep>& updates,
                      const Slice& norm,
                      const NormGroups& groups) {
    BlockWriter block("optimizer", Phase::optimizer, stage);
    const NormPieces pieces = groups.experts ? norm_pieces_apart(stage.parameters)
                                             : NormPieces{{}, gradients_of(updates)};
    sum_squares(block, pieces.experts, norm, First::yes, {});
    After summed;
    if (groups.experts && !pieces.experts.empty()) {
        summed =
            block.communicate(Lane::ep, all_reduce_in_place(*groups.experts, norm, DType::fp32));
    }
    sum_squares(
        block, pieces.others, norm, pieces.experts.empty() ? First::yes : First::no, summed);
    summed.clear();
    if (groups.model) {
        summed =
            block.communicate(Lane::model, all_reduce_in_place(*groups.model, norm, DType::fp32));
    }
    if (groups.shards) {
        summed =
            block.communicate(Lane::dp, all_reduce_in_place(*groups.shards, norm, DType::fp32));
    }
    for (const OptimizerStep& update : updates) {
        const Slice gradients = slice_of(update, Space::gradient);
        block.elementwise(
            ElementwiseKind::scale, 1, gradients.elements, {gradients, norm}, {gradients}, summed);
        block.compute(update);
    }
    return block.take();
}

}  // namespace traindyno
