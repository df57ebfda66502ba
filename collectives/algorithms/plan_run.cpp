// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/plan_run.hpp"

#include <algorithm>
#include <utility>

#include "collectives/algorithms/combine.hpp"
#include "collectives/divide.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

PlanRun::PlanRun(PlanTask task, ScratchPool& pool) : task_(std::move(task)) {
    const CollectivePlan& plan = *task_.plan;
    const auto lanes = static_cast<std::size_t>(plan.lanes);
    // Lanes begin at cache lines, so any element type is aligned.
    constexpr std::size_t line = 64;
    const auto scratch = static_cast<std::size_t>(plan.lane_scratch * task_.element_size);
    lane_bytes_ = (scratch + line - 1) / line * line;
    if (lane_bytes_ > 0) {
        scratch_ = pool.take(lanes * lane_bytes_);
        scratch_bytes_ = scratch_;
    }
    lanes_.resize(lanes);
    open_lanes_ = plan.lanes;
    for (std::int64_t lane = 0; lane < plan.lanes; ++lane) {
        lanes_[static_cast<std::size_t>(lane)].strand = lane;
    }
}

void PlanRun::advance() {
    try {
        std::int64_t open = 0;
        for (std::int64_t lane = 0; lane < task_.plan->lanes; ++lane) {
            open += advance_lane(lane) ? 0 : 1;
        }
        open_lanes_ = open;
    } catch (...) {
        error_ = std::current_exception();
    }
}

bool PlanRun::complete() const {
    if (error_ != nullptr) {
        std::rethrow_exception(error_);
    }
    return open_lanes_ == 0;
}

std::vector<GroupRank> PlanRun::waiting_for() const {
    std::vector<GroupRank> peers;
    for (const Lane& lane : lanes_) {
        for (const Outstanding& message : lane.outstanding) {
            peers.push_back(message.peer);
        }
    }
    std::sort(peers.begin(), peers.end());
    peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
    return peers;
}

ScratchPool::Block PlanRun::take_scratch() {
    return std::exchange(scratch_, {});
}

bool PlanRun::advance_lane(std::int64_t index) {
    const CollectivePlan& plan = *task_.plan;
    Lane& lane = lanes_[static_cast<std::size_t>(index)];
    while (lane.strand < static_cast<std::int64_t>(plan.strands.size())) {
        const Strand& strand = plan.strands[static_cast<std::size_t>(lane.strand)];
        if (lane.round == strand.rounds.size()) {
            lane.strand += plan.lanes;
            lane.round = 0;
            continue;
        }
        const Round& round = strand.rounds[lane.round];
        if (!lane.posted) {
            post(round, index);
            lane.posted = true;
        }
        std::erase_if(lane.outstanding, [](Outstanding& each) { return each.pending.done(); });
        if (!lane.outstanding.empty()) {
            return false;
        }
        for (const LocalStep& step : round.steps) {
            apply(step, index);
        }
        lane.posted = false;
        ++lane.round;
    }
    return true;
}

void PlanRun::post(const Round& round, std::int64_t lane) {
    std::vector<Outstanding>& outstanding = lanes_[static_cast<std::size_t>(lane)].outstanding;
    const auto tag = static_cast<std::int32_t>(task_.first_tag + lane);
    for (const Message& message : round.receives) {
        outstanding.push_back(
            {.pending = task_.channel->recv(writable(message.slice, lane), message.peer, tag),
             .peer = message.peer});
    }
    for (const Message& message : round.sends) {
        outstanding.push_back(
            {.pending = task_.channel->send(readable(message.slice, lane), message.peer, tag),
             .peer = message.peer});
    }
}

void PlanRun::apply(const LocalStep& step, std::int64_t lane) {
    const std::span<std::byte> into = writable(step.into, lane);
    switch (step.kind) {
        case LocalStep::Kind::copy: {
            const std::span<const std::byte> from = readable(step.from, lane);
            std::copy(from.begin(), from.end(), into.begin());
            return;
        }
        case LocalStep::Kind::combine:
            combine(task_.type, task_.reduction, readable(step.from, lane), into);
            return;
        case LocalStep::Kind::finish:
            if (task_.reduction == Reduction::average) {
                divide_elements(into, task_.type, task_.channel->size());
            }
            return;
    }
}

std::span<const std::byte> PlanRun::readable(const Slice& slice, std::int64_t lane) const {
    if (slice.buffer != PlanBuffer::input) {
        return writable(slice, lane);
    }
    return task_.input.subspan(static_cast<std::size_t>(slice.first * task_.element_size),
                               static_cast<std::size_t>(slice.count * task_.element_size));
}

std::span<std::byte> PlanRun::writable(const Slice& slice, std::int64_t lane) const {
    TD_EXPECT(slice.buffer != PlanBuffer::input);
    const auto first = static_cast<std::size_t>(slice.first * task_.element_size);
    const auto size = static_cast<std::size_t>(slice.count * task_.element_size);
    if (slice.buffer == PlanBuffer::work) {
        return task_.work.subspan(first, size);
    }
    const std::size_t offset = static_cast<std::size_t>(lane) * lane_bytes_;
    TD_EXPECT(first + size <= lane_bytes_);
    return scratch_bytes_.subspan(offset + first, size);
}

}  // namespace traindyno
