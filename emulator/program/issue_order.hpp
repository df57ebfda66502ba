// SPDX-License-Identifier: Apache-2.0
// A step program flattened: its operations in issue order, per lane, with what they wait for.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

/// Index into IssueOrder::ops(); also the index of an operation's span in a StepTrace.
using OpIndex = std::uint32_t;

struct IssuedOp {
    TaskId task;
    std::uint32_t in_block = 0;  ///< index into the task's block
    Lane lane = Lane::compute;
    Phase phase = Phase::forward;
};

/// A view of `program`, which must outlive it.
class IssueOrder {
  public:
    explicit IssueOrder(const StepProgram& program);

    [[nodiscard]] const StepProgram& program() const { return *program_; }

    [[nodiscard]] std::span<const IssuedOp> ops() const { return ops_; }

    [[nodiscard]] std::span<const OpIndex> lane(Lane lane) const {
        return lanes_[static_cast<std::size_t>(lane)];
    }

    /// Operations of `task`: a contiguous range [first, last).
    [[nodiscard]] OpIndex first_of(TaskId task) const { return first_of_task_[task.index()]; }

    [[nodiscard]] OpIndex last_of(TaskId task) const { return first_of_task_[task.index() + 1]; }

    [[nodiscard]] const Task& task_of(OpIndex index) const {
        return program_->tasks[ops_[index].task.index()];
    }

    [[nodiscard]] const BlockOp& block_op(OpIndex index) const {
        return program_->blocks[task_of(index).block.index()].ops[ops_[index].in_block];
    }

    /// Calls `visit(OpIndex)` for every operation that `index` waits for, other than by lane order.
    template <class Visit>
    void for_each_dependency(OpIndex index, Visit&& visit) const {
        const OpIndex first = first_of(ops_[index].task);
        for (const std::uint32_t earlier : block_op(index).after) {
            visit(first + earlier);
        }
        for (const TaskId task : task_of(index).after) {
            for (OpIndex op = first_of(task); op < last_of(task); ++op) {
                visit(op);
            }
        }
    }

  private:
    const StepProgram* program_;
    std::vector<IssuedOp> ops_;
    std::vector<OpIndex> first_of_task_;
    std::array<std::vector<OpIndex>, enum_count<Lane>> lanes_;
};

}  // namespace traindyno
