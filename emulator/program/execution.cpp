// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/execution.hpp"

#include <algorithm>
#include <utility>

#include "emulator/base/overloaded.hpp"

namespace traindyno {

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
