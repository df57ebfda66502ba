// SPDX-License-Identifier: Apache-2.0
// Runs the programs of several ranks to the end without a device: lanes, dependencies and traffic.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/program/issue_order.hpp"
#include "emulator/program/program_set.hpp"

namespace traindyno {

/// One rank's program on its way.
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

/// A collective ends its duration after its last member has arrived, a message after sender and
/// receiver have: a send completes only once its receive is posted, as large messages do. Members
/// without a program count as arrived.
class Execution {
  public:
    /// Of an operation of the index-th program. For communication, that of the last to arrive.
    using Duration = std::function<SimTime(std::size_t program, OpIndex index)>;

    /// `set` must outlive it. Without `duration` everything takes no time.
    explicit Execution(const ProgramSet& set, Duration duration = {});

    void run();

    [[nodiscard]] std::span<const RankProgress> ranks() const { return ranks_; }

    /// When the last operation of any rank ended.
    [[nodiscard]] SimTime end() const { return end_; }

  private:
    /// The head of a lane that has arrived at a communication.
    struct Arrival {
        std::size_t program = 0;
        Lane lane = Lane::compute;
        SimTime time{0};
    };

    /// Group, ranks in ascending order of role (sender, receiver), tag.
    using Route = std::tuple<std::uint32_t, std::int64_t, std::int64_t, std::int64_t>;
    using Waiting = std::map<Route, std::deque<Arrival>>;

    void wake(std::size_t program);
    void advance(std::size_t program);
    void start(std::size_t program, Lane lane, OpIndex index);
    void complete(const Arrival& arrival, SimTime end);
    void arrive(const Arrival& arrival, OpIndex index, const Collective& op);
    template <class Message>
    void meet(const Arrival& arrival, OpIndex index, const Message& op);
    [[nodiscard]] SimTime duration(std::size_t program, OpIndex index) const;

    const ProgramSet& set_;
    Duration duration_;
    std::vector<RankProgress> ranks_;
    std::vector<std::vector<Arrival>> at_collective_;  ///< per group
    std::array<Waiting, 2> waiting_;                   ///< sends, receives
    std::deque<std::size_t> awake_;
    std::vector<std::uint8_t> queued_;
    SimTime end_{0};
};

}  // namespace traindyno
