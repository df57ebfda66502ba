// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/stream_schedule.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Per lane, how many of its operations are known to be complete.
using Progress = std::array<std::uint32_t, enum_count<Lane>>;

std::size_t slot(Lane lane) {
    return static_cast<std::size_t>(lane);
}

void merge(Progress& into, const Progress& other) {
    for (std::size_t lane = 0; lane < into.size(); ++lane) {
        into[lane] = std::max(into[lane], other[lane]);
    }
}

/// An operation runs alone if in every lane the first operation that is not known to be complete
/// before it knows it to be complete: lane order carries that on to all later ones.
std::vector<std::uint8_t> find_alone(const IssueOrder& order,
                                     const std::vector<std::uint32_t>& position,
                                     const std::vector<Progress>& before) {
    std::vector<std::uint8_t> alone(order.ops().size(), 1);
    for (OpIndex index = 0; index < alone.size(); ++index) {
        const Lane own = order.ops()[index].lane;
        for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
            const auto ops = order.lane(static_cast<Lane>(lane));
            const std::uint32_t next = before[index][lane];
            if (lane != slot(own) && next < ops.size() &&
                before[ops[next]][slot(own)] < position[index]) {
                alone[index] = 0;
            }
        }
    }
    return alone;
}

}  // namespace

StreamSchedule::StreamSchedule(const IssueOrder& order) : awaited_(order.ops().size()) {
    const auto count = static_cast<OpIndex>(order.ops().size());
    std::vector<std::uint32_t> position(count);  // within the lane, from 1
    std::vector<Progress> before(count);         // what is complete when the operation starts
    std::array<Progress, enum_count<Lane>> lane_knows{};
    first_.reserve(count + 1);
    first_.push_back(0);
    for (OpIndex index = 0; index < count; ++index) {
        const Lane lane = order.ops()[index].lane;
        Progress& knows = lane_knows[slot(lane)];
        Progress needed{};
        order.for_each_dependency(index, [&](OpIndex earlier) {
            TD_EXPECT(earlier < index);
            std::uint32_t& latest = needed[slot(order.ops()[earlier].lane)];
            latest = std::max(latest, position[earlier]);
        });
        // The latest first: what it waited for itself needs no wait of its own.
        std::vector<OpIndex> candidates;
        for (std::size_t other = 0; other < needed.size(); ++other) {
            if (other != slot(lane) && needed[other] > 0) {
                candidates.push_back(order.lane(static_cast<Lane>(other))[needed[other] - 1]);
            }
        }
        std::sort(candidates.rbegin(), candidates.rend());
        for (const OpIndex candidate : candidates) {
            const std::size_t other = slot(order.ops()[candidate].lane);
            if (knows[other] < position[candidate]) {
                waits_.push_back(candidate);
                awaited_[candidate] = 1;
                merge(knows, before[candidate]);
                knows[other] = position[candidate];
            }
        }
        first_.push_back(static_cast<std::uint32_t>(waits_.size()));
        before[index] = knows;
        position[index] = ++knows[slot(lane)];
    }
    alone_ = find_alone(order, position, before);
    lanes_.push_back(Lane::compute);
    for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
        if (static_cast<Lane>(lane) != Lane::compute &&
            !order.lane(static_cast<Lane>(lane)).empty()) {
            lanes_.push_back(static_cast<Lane>(lane));
        }
    }
}

}  // namespace traindyno
