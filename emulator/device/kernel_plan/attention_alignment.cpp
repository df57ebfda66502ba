// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/attention_alignment.hpp"

#include <algorithm>
#include <tuple>
#include <variant>
#include <vector>

#include "emulator/base/overloaded.hpp"
#include "emulator/program/slice_use.hpp"

namespace traindyno {

std::optional<AttentionShape> attention_shape(const ComputeOp& op) {
    using Shape = std::optional<AttentionShape>;
    return std::visit(
        Overloaded{[](const AttentionForward& forward) { return Shape(shape_of(forward)); },
                   [](const AttentionBackward& backward) { return Shape(shape_of(backward)); },
                   [](const auto& /*other*/) { return Shape(); }},
        op);
}

std::set<AttentionShape> unaligned_attentions(const StepProgram& program) {
    const DType storage = storage_type(program.precision);
    const auto is_unaligned = [&](const Slice& slice, const Task& task) {
        const std::int64_t element = task.base_of(slice.space) + slice.offset;
        return element * element_size(dtype_in(program, slice.space)) % fused_alignment != 0;
    };
    std::set<AttentionShape> found;
    std::set<std::tuple<std::size_t, std::int64_t>> seen;  // blocks at their places
    for (const Task& task : program.tasks) {
        const auto base = task.saved_base * element_size(storage) % fused_alignment;
        if (!seen.emplace(task.block.index(), base).second) {
            continue;
        }
        for (const BlockOp& op : program.blocks[task.block.index()].ops) {
            const auto* compute = std::get_if<ComputeOp>(&op.op);
            const auto shape = compute == nullptr ? std::nullopt : attention_shape(*compute);
            if (!shape) {
                continue;
            }
            const std::vector<SliceUse> uses = slices_of(op.op);
            if (std::any_of(uses.begin(), uses.end(), [&](const SliceUse& use) {
                    return is_unaligned(use.slice, task);
                })) {
                found.insert(*shape);
            }
        }
    }
    return found;
}

}  // namespace traindyno
