// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/collectives/plan_simulation.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace traindyno::test {

namespace {

bool overlap(const Slice& a, const Slice& b) {
    return a.buffer == b.buffer && a.first < b.first + b.count && b.first < a.first + a.count;
}

std::int64_t elements_of(const std::vector<Message>& messages) {
    std::int64_t sum = 0;
    for (const Message& message : messages) {
        sum += message.slice.count;
    }
    return sum;
}

}  // namespace

PlanSimulation::PlanSimulation(std::vector<CollectivePlan> plans, std::vector<SymbolMemory> memory)
    : plans_(std::move(plans)), memory_(std::move(memory)), traffic_(plans_.size()) {
    for (const SymbolMemory& each : memory_) {
        owner_.emplace_back(each.cells.size(), -1);
    }
    for (const CollectivePlan& plan : plans_) {
        std::vector<Lane>& lanes = lanes_.emplace_back();
        for (std::int64_t lane = 0; lane < plan.lanes; ++lane) {
            lanes.emplace_back().strand = lane;
            lanes.back().scratch.resize(static_cast<std::size_t>(plan.lane_scratch));
        }
    }
}

std::string PlanSimulation::run() {
    bool moved = true;
    while (moved && problem_.empty()) {
        moved = false;
        for (std::size_t rank = 0; rank < plans_.size(); ++rank) {
            for (std::size_t lane = 0; lane < lanes_[rank].size(); ++lane) {
                moved = advance(rank, lane) || moved;
            }
        }
    }
    for (std::size_t rank = 0; problem_.empty() && rank < plans_.size(); ++rank) {
        for (const Lane& lane : lanes_[rank]) {
            if (lane.strand < static_cast<std::int64_t>(plans_[rank].strands.size())) {
                problem_ = fmt::format(
                    "rank {} waits for ever in strand {}, round {}", rank, lane.strand, lane.round);
            }
        }
    }
    for (const auto& [key, channel] : channels_) {
        if (problem_.empty() && !(channel.sends.empty() && channel.receives.empty())) {
            problem_ = "a message was posted on one side only";
        }
    }
    return problem_;
}

bool PlanSimulation::advance(std::size_t rank, std::size_t lane_index) {
    const CollectivePlan& plan = plans_[rank];
    Lane& lane = lanes_[rank][lane_index];
    const auto strands = static_cast<std::int64_t>(plan.strands.size());
    if (lane.strand >= strands) {
        return false;
    }
    const std::vector<Round>& rounds = plan.strands[static_cast<std::size_t>(lane.strand)].rounds;
    if (lane.round == rounds.size()) {
        if (lane.strand == 0) {
            first_strand_.rounds = std::max(first_strand_.rounds, lane.begun.rounds);
            first_strand_.elements = std::max(first_strand_.elements, lane.begun.elements);
        }
        lane.strand += plan.lanes;
        lane.round = 0;
        return true;
    }
    const Round& round = rounds[lane.round];
    if (!lane.posted) {
        post(rank, lane_index, round);
        return true;
    }
    if (lane.outstanding > 0) {
        return false;
    }
    finish_round(rank, lane_index, round);
    return true;
}

void PlanSimulation::post(std::size_t rank, std::size_t lane_index, const Round& round) {
    check_round(round);
    Lane& lane = lanes_[rank][lane_index];
    lane.posted = true;
    lane.over = lane.begun;
    lane.weight = std::max(elements_of(round.sends), elements_of(round.receives));
    lane.outstanding = static_cast<std::int64_t>(round.sends.size() + round.receives.size());
    traffic_[rank].messages += static_cast<std::int64_t>(round.sends.size());
    traffic_[rank].elements += elements_of(round.sends);
    for (const Message& message : round.receives) {
        claim(rank, lane.strand, message.slice);
        Channel& channel = channels_[{message.peer.index(), rank, lane_index}];
        channel.receives.push_back({.rank = rank, .lane = lane_index, .slice = message.slice});
        meet(channel);
    }
    for (const Message& message : round.sends) {
        claim(rank, lane.strand, message.slice);
        Channel& channel = channels_[{rank, message.peer.index(), lane_index}];
        channel.sends.push_back({.rank = rank, .lane = lane_index, .slice = message.slice});
        meet(channel);
    }
}

void PlanSimulation::meet(Channel& channel) {
    while (!channel.sends.empty() && !channel.receives.empty()) {
        const End from = channel.sends.front();
        const End into = channel.receives.front();
        channel.sends.pop_front();
        channel.receives.pop_front();
        if (from.slice.count != into.slice.count) {
            problem_ = fmt::format("rank {} sends {} elements to rank {}, which expects {}",
                                   from.rank,
                                   from.slice.count,
                                   into.rank,
                                   into.slice.count);
            return;
        }
        for (std::int64_t i = 0; i < from.slice.count; ++i) {
            at(into.rank, into.lane, into.slice, i) = at(from.rank, from.lane, from.slice, i);
        }
        Lane& sender = lanes_[from.rank][from.lane];
        Lane& receiver = lanes_[into.rank][into.lane];
        const std::int64_t weight = std::max(sender.weight, receiver.weight);
        const std::int64_t rounds = std::max(sender.begun.rounds, receiver.begun.rounds) + 1;
        const std::int64_t elements =
            std::max(sender.begun.elements, receiver.begun.elements) + weight;
        for (Lane* const lane : {&sender, &receiver}) {
            --lane->outstanding;
            lane->over.rounds = std::max(lane->over.rounds, rounds);
            lane->over.elements = std::max(lane->over.elements, elements);
        }
    }
}

void PlanSimulation::finish_round(std::size_t rank, std::size_t lane_index, const Round& round) {
    Lane& lane = lanes_[rank][lane_index];
    for (const LocalStep& step : round.steps) {
        claim(rank, lane.strand, step.from);
        claim(rank, lane.strand, step.into);
        if (step.into.buffer == PlanBuffer::input) {
            problem_ = "a step writes the input";
        }
        for (std::int64_t i = 0; i < step.into.count; ++i) {
            const Symbol from = at(rank, lane_index, step.from, i);
            Symbol& into = at(rank, lane_index, step.into, i);
            switch (step.kind) {
                case LocalStep::Kind::copy:
                    into = from;
                    break;
                case LocalStep::Kind::finish:
                    problem_ = into.finished ? "a value is finished twice" : problem_;
                    into.finished = true;
                    break;
                case LocalStep::Kind::combine:
                    if (from.element != into.element || from.element < 0 || from.finished ||
                        into.finished) {
                        problem_ = "values are added that do not belong together";
                    }
                    for (std::size_t member = 0; member < most_ranks; ++member) {
                        into.times[member] =
                            static_cast<std::uint8_t>(into.times[member] + from.times[member]);
                    }
                    into.roundings = std::max(into.roundings, from.roundings) + 1;
                    break;
            }
        }
        traffic_[rank].reduced += step.kind == LocalStep::Kind::combine ? step.into.count : 0;
    }
    lane.begun = lane.over;
    lane.posted = false;
    ++lane.round;
}

void PlanSimulation::check_round(const Round& round) {
    for (std::size_t i = 0; i < round.receives.size(); ++i) {
        const Slice& written = round.receives[i].slice;
        if (written.buffer == PlanBuffer::input) {
            problem_ = "a message is received into the input";
        }
        for (const Message& sent : round.sends) {
            problem_ = overlap(written, sent.slice) ? "a round overwrites what it sends" : problem_;
        }
        for (std::size_t j = 0; j < i; ++j) {
            problem_ = overlap(written, round.receives[j].slice) ? "two receives share elements"
                                                                 : problem_;
        }
    }
}

void PlanSimulation::claim(std::size_t rank, std::int64_t strand, const Slice& slice) {
    if (slice.buffer == PlanBuffer::scratch) {
        return;
    }
    const SymbolMemory& memory = memory_[rank];
    const std::int64_t base = slice.buffer == PlanBuffer::input ? memory.input : memory.work;
    for (std::int64_t i = 0; i < slice.count; ++i) {
        std::int64_t& owner = owner_[rank].at(static_cast<std::size_t>(base + slice.first + i));
        if (owner >= 0 && owner != strand) {
            problem_ = "two strands share an element";
        }
        owner = strand;
    }
}

Symbol& PlanSimulation::at(std::size_t rank, std::size_t lane, const Slice& slice, std::int64_t i) {
    const auto index = slice.first + i;
    if (slice.buffer == PlanBuffer::scratch) {
        return lanes_[rank][lane].scratch.at(static_cast<std::size_t>(index));
    }
    SymbolMemory& memory = memory_[rank];
    const std::int64_t base = slice.buffer == PlanBuffer::input ? memory.input : memory.work;
    return memory.cells.at(static_cast<std::size_t>(base + index));
}

Counted PlanSimulation::counted() const {
    Counted counted{.rounds = first_strand_.rounds, .path = first_strand_.elements};
    for (const Traffic& each : traffic_) {
        counted.messages = std::max(counted.messages, each.messages);
        counted.elements = std::max(counted.elements, each.elements);
        counted.reduced = std::max(counted.reduced, each.reduced);
    }
    return counted;
}

}  // namespace traindyno::test
