// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/execution.hpp"

#include <algorithm>
#include <utility>

#include "emulator/base/overloaded.hpp"

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

Execution::Execution(const ProgramSet& set, Duration duration)
    : set_(set),
      duration_(std::move(duration)),
      at_collective_(set.groups().size()),
      queued_(set.programs().size()) {
    ranks_.reserve(set.programs().size());
    for (std::size_t program = 0; program < set.programs().size(); ++program) {
        ranks_.emplace_back(set.programs()[program]);
        wake(program);
    }
}

void Execution::run() {
    while (!awake_.empty()) {
        const std::size_t program = awake_.front();
        awake_.pop_front();
        queued_[program] = 0;
        advance(program);
    }
}

SimTime Execution::duration(std::size_t program, OpIndex index) const {
    return duration_ ? duration_(program, index) : SimTime{0};
}

void Execution::wake(std::size_t program) {
    if (queued_[program] == 0) {
        queued_[program] = 1;
        awake_.push_back(program);
    }
}

void Execution::advance(std::size_t program) {
    RankProgress& rank = ranks_[program];
    for (std::size_t i = 0; i < enum_count<Lane>; ++i) {
        const auto lane = static_cast<Lane>(i);
        for (auto next = rank.next(lane); next; next = rank.next(lane)) {
            start(program, lane, *next);
        }
    }
}

void Execution::start(std::size_t program, Lane lane, OpIndex index) {
    const Op& op = ranks_[program].order().block_op(index).op;
    const Arrival arrival{
        .program = program, .lane = lane, .time = ranks_[program].ready_at(index, lane)};
    if (std::holds_alternative<ComputeOp>(op)) {
        complete(arrival, arrival.time + duration(program, index));
        return;
    }
    ranks_[program].arrive(lane);
    std::visit(Overloaded{[&](const Collective& collective) { arrive(arrival, index, collective); },
                          [&](const auto& message) { meet(arrival, index, message); }},
               std::get<CommOp>(op));
}

void Execution::complete(const Arrival& arrival, SimTime end) {
    ranks_[arrival.program].complete_head(arrival.lane, end);
    end_ = std::max(end_, end);
    wake(arrival.program);
}

void Execution::arrive(const Arrival& arrival, OpIndex index, const Collective& op) {
    const std::uint32_t group = set_.group_of(arrival.program, op.group);
    std::vector<Arrival>& here = at_collective_[group];
    here.push_back(arrival);
    if (static_cast<std::int64_t>(here.size()) < set_.groups()[group].present) {
        return;
    }
    const std::vector<Arrival> all = std::exchange(here, {});
    SimTime begin{0};
    for (const Arrival& member : all) {
        begin = std::max(begin, member.time);
    }
    const SimTime end = begin + duration(arrival.program, index);
    for (const Arrival& member : all) {
        complete(member, end);
    }
}

template <class Message>
void Execution::meet(const Arrival& arrival, OpIndex index, const Message& op) {
    const RankProgress& rank = ranks_[arrival.program];
    const std::uint32_t group = set_.group_of(arrival.program, op.group);
    const WorldRank peer = set_.groups()[group].group->members[op.peer.index()];
    const std::int64_t here = rank.order().program().rank.value();
    constexpr bool sends = std::is_same_v<Message, Send>;
    if (!set_.program_of(peer)) {
        complete(arrival, arrival.time + duration(arrival.program, index));
        return;
    }
    const Route route{group,
                      sends ? here : peer.value(),
                      sends ? peer.value() : here,
                      std::int64_t{op.tag} + rank.order().task_of(index).tag_base};
    Waiting& own = waiting_[sends ? 0 : 1];
    Waiting& other = waiting_[sends ? 1 : 0];
    const auto partner = other.find(route);
    if (partner == other.end()) {
        own[route].push_back(arrival);
        return;
    }
    const Arrival met = partner->second.front();
    partner->second.pop_front();
    if (partner->second.empty()) {
        other.erase(partner);
    }
    const SimTime end = std::max(met.time, arrival.time) + duration(arrival.program, index);
    complete(met, end);
    complete(arrival, end);
}

}  // namespace traindyno
