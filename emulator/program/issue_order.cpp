// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/issue_order.hpp"

namespace traindyno {

IssueOrder::IssueOrder(const StepProgram& program) : program_(&program) {
    first_of_task_.reserve(program.tasks.size() + 1);
    for (std::size_t t = 0; t < program.tasks.size(); ++t) {
        first_of_task_.push_back(static_cast<OpIndex>(ops_.size()));
        const Block& block = program.blocks[program.tasks[t].block.index()];
        for (std::size_t i = 0; i < block.ops.size(); ++i) {
            const BlockOp& op = block.ops[i];
            lanes_[static_cast<std::size_t>(op.lane)].push_back(static_cast<OpIndex>(ops_.size()));
            ops_.push_back({.task = TaskId{static_cast<std::int64_t>(t)},
                            .in_block = static_cast<std::uint32_t>(i),
                            .lane = op.lane,
                            .phase = op.phase});
        }
    }
    first_of_task_.push_back(static_cast<OpIndex>(ops_.size()));
}

}  // namespace traindyno
