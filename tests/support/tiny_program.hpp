// SPDX-License-Identifier: Apache-2.0
// Small step programs written by hand, for tests that need to know every operation.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno::test {

inline Op elementwise() {
    return ComputeOp{Elementwise{.rows = 1, .columns = 1, .reads = {}, .writes = {}}};
}

inline Op all_reduce(GroupId group, std::int64_t elements) {
    return CommOp{all_reduce_in_place(
        group, {.space = Space::gradient, .offset = 0, .elements = elements}, DType::fp32)};
}

/// Appends one task whose block holds just `ops`; returns its id.
inline TaskId add_task(StepProgram& program,
                       std::vector<BlockOp> ops,
                       std::vector<TaskId> after = {}) {
    const BlockId block{static_cast<std::int64_t>(program.blocks.size())};
    program.blocks.push_back(
        {.name = "block " + std::to_string(block.value()), .ops = std::move(ops)});
    program.tasks.push_back(
        {.block = block, .micro_batch = {}, .layer = {}, .after = std::move(after)});
    return TaskId{static_cast<std::int64_t>(program.tasks.size()) - 1};
}

/// A program of rank 0 with one dp group of ranks 0..size-1 and `elements` gradients.
inline StepProgram program_with_group(std::int64_t size,
                                      std::int64_t elements,
                                      GroupKind kind = GroupKind::dp) {
    StepProgram program;
    program.extents = {.parameter = elements, .saved = 0, .workspace = elements, .scalar = 8};
    Group group{.kind = kind, .members = {}};
    for (std::int64_t rank = 0; rank < size; ++rank) {
        group.members.emplace_back(rank);
    }
    program.groups.push_back(std::move(group));
    return program;
}

}  // namespace traindyno::test
