// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/optimizer_block.hpp"

namespace traindyno {

Block optimizer_block(const StageContext& stage,
                      const std::vector<Slice>& pieces,
                      const Slice& norm,
                      std::optional<GroupId> model_group) {
    BlockWriter block("optimizer", Phase::optimizer, stage);
    for (const Slice& gradients : pieces) {
        block.elementwise(
            ElementwiseKind::sum_of_squares, 1, gradients.elements, {gradients}, {norm});
    }
    After summed;
    if (model_group) {
        summed =
            block.communicate(Lane::model, all_reduce_in_place(*model_group, norm, DType::fp32));
    }
    for (const Slice& gradients : pieces) {
        block.elementwise(
            ElementwiseKind::scale, 1, gradients.elements, {gradients, norm}, {gradients}, summed);
        block.compute(OptimizerStep{.offset = gradients.offset, .elements = gradients.elements});
    }
    return block.take();
}

}  // namespace traindyno
