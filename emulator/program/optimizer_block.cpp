// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/optimizer_block.hpp"

namespace traindyno {

Block optimizer_block(const StageContext& stage,
                      const std::vector<OptimizerStep>& updates,
                      const Slice& norm,
                      const NormGroups& groups) {
    BlockWriter block("optimizer", Phase::optimizer, stage);
    for (std::size_t i = 0; i < updates.size(); ++i) {
        const Slice gradients = slice_of(updates[i], Space::gradient);
        std::vector<Slice> reads{gradients};
        if (i > 0) {
            reads.push_back(norm);
        }
        block.elementwise(
            ElementwiseKind::sum_of_squares, 1, gradients.elements, std::move(reads), {norm});
    }
    After summed;
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
