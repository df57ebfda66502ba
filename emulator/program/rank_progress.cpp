// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/rank_progress.hpp"

#include <algorithm>
#include <span>

namespace traindyno {

namespace {

constexpr SimTime not_complete{-1};

}  // namespace

RankProgress::RankProgress(const StepProgram& program)
    : order_(program),
      end_(order_.ops().size(), not_complete),
      task_end_(program.tasks.size()),
      remaining_(end_.size()) {
    left_in_task_.reserve(program.tasks.size());
    for (std::size_t t = 0; t < program.tasks.size(); ++t) {
        const TaskId task{static_cast<std::int64_t>(t)};
        left_in_task_.push_back(order_.last_of(task) - order_.first_of(task));
    }
}

std::optional<OpIndex> RankProgress::head(Lane lane) const {
    const std::span<const OpIndex> queue = order_.lane(lane);
    const std::size_t next = at(lane).next;
    return next < queue.size() ? std::optional(queue[next]) : std::nullopt;
}

std::optional<OpIndex> RankProgress::missing(OpIndex index) const {
    const OpIndex first = order_.first_of(order_.ops()[index].task);
    for (const std::uint32_t earlier : order_.block_op(index).after) {
        if (end_[first + earlier] == not_complete) {
            return first + earlier;
        }
    }
    for (const TaskId task : order_.task_of(index).after) {
        if (left_in_task_[task.index()] > 0) {
            const auto ops = std::span(end_).subspan(order_.first_of(task));
            const auto open = std::find(ops.begin(), ops.end(), not_complete);
            return order_.first_of(task) + static_cast<OpIndex>(open - ops.begin());
        }
    }
    return std::nullopt;
}

std::optional<OpIndex> RankProgress::next(Lane lane) {
    LaneState& state = at(lane);
    if (state.arrived || (state.blocked_on && end_[*state.blocked_on] == not_complete)) {
        return std::nullopt;
    }
    const std::optional<OpIndex> first = head(lane);
    state.blocked_on = first ? missing(*first) : std::nullopt;
    return state.blocked_on ? std::nullopt : first;
}

SimTime RankProgress::ready_at(OpIndex index, Lane lane) const {
    SimTime ready = at(lane).end;
    const OpIndex first = order_.first_of(order_.ops()[index].task);
    for (const std::uint32_t earlier : order_.block_op(index).after) {
        ready = std::max(ready, end_[first + earlier]);
    }
    for (const TaskId task : order_.task_of(index).after) {
        ready = std::max(ready, task_end_[task.index()]);
    }
    return ready;
}

void RankProgress::complete_head(Lane lane, SimTime end) {
    LaneState& state = at(lane);
    const OpIndex index = order_.lane(lane)[state.next];
    const std::size_t task = order_.ops()[index].task.index();
    end_[index] = end;
    --left_in_task_[task];
    task_end_[task] = std::max(task_end_[task], end);
    --remaining_;
    state = {.next = state.next + 1, .arrived = false, .end = end};
}

}  // namespace traindyno
