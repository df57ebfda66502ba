// SPDX-License-Identifier: Apache-2.0
// Runs the programs of several ranks to the end without a device: lanes, dependencies and traffic.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "emulator/program/program_set.hpp"
#include "emulator/program/rank_progress.hpp"

namespace traindyno {

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
