// SPDX-License-Identifier: Apache-2.0
// How far an execution of one rank's program has come.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno {

class RankProgress {
  public:
    explicit RankProgress(const StepProgram& program);

    [[nodiscard]] const IssueOrder& order() const { return order_; }

    [[nodiscard]] bool finished() const { return remaining_ == 0; }

    /// Whether the communication at the head of `lane` waits for its peers.
    [[nodiscard]] bool arrived(Lane lane) const { return at(lane).arrived; }

    [[nodiscard]] std::optional<OpIndex> head(Lane lane) const;
    /// An operation that `index` still waits for.
    [[nodiscard]] std::optional<OpIndex> missing(OpIndex index) const;

    /// When the operation, which is complete, ended.
    [[nodiscard]] SimTime end_of(OpIndex index) const { return end_[index]; }

    /// The head of `lane` if it can start, and the earliest time at which it can.
    [[nodiscard]] std::optional<OpIndex> next(Lane lane);
    [[nodiscard]] SimTime ready_at(OpIndex index, Lane lane) const;

    void arrive(Lane lane) { at(lane).arrived = true; }

    void complete_head(Lane lane, SimTime end);

  private:
    struct LaneState {
        std::size_t next = 0;
        bool arrived = false;
        SimTime end{0};
        std::optional<OpIndex> blocked_on{};  ///< not complete when `next` was last looked at
    };

    [[nodiscard]] LaneState& at(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }

    [[nodiscard]] const LaneState& at(Lane lane) const {
        return lanes_[static_cast<std::size_t>(lane)];
    }

    IssueOrder order_;
    std::vector<SimTime> end_;  ///< negative: not complete
    std::vector<std::uint32_t> left_in_task_;
    std::vector<SimTime> task_end_;
    std::size_t remaining_;
    std::array<LaneState, enum_count<Lane>> lanes_{};
};

}  // namespace traindyno
