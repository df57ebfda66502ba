// SPDX-License-Identifier: Apache-2.0
// Runs the plans of all ranks on symbols: every value says whose contributions it holds.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/algorithms/plan.hpp"

namespace traindyno::test {

inline constexpr std::size_t most_ranks = 33;

/// A sum of members' elements.
struct Symbol {
    std::int64_t element = -1;  ///< which element of the members' input; -1: nothing was written
    std::array<std::uint8_t, most_ranks> times{};  ///< how often each member is in it
    std::int64_t roundings = 0;                    ///< additions on the longest way
    bool finished = false;

    friend bool operator==(const Symbol&, const Symbol&) = default;
};

/// The caller's memory of one rank. In place, input and work overlap.
struct SymbolMemory {
    std::vector<Symbol> cells;
    std::int64_t input = 0;  ///< first cell of the input
    std::int64_t work = 0;
};

/// What the plans do, counted.
struct Counted {
    std::int64_t rounds = 0;    ///< of the first strand: the longest chain of messages
    std::int64_t path = 0;      ///< elements along such a chain
    std::int64_t messages = 0;  ///< of the busiest rank, likewise below
    std::int64_t elements = 0;
    std::int64_t reduced = 0;
};

/// A round is over when all its messages are; a message takes as long as the longer of the rounds
/// it belongs to sends or receives, and begins when both have begun.
class PlanSimulation {
  public:
    PlanSimulation(std::vector<CollectivePlan> plans, std::vector<SymbolMemory> memory);

    /// Runs to the end. Returns what went wrong (a deadlock, a message that does not fit, a round
    /// that overwrites what it sends, strands that share elements), or "".
    [[nodiscard]] std::string run();

    [[nodiscard]] const SymbolMemory& memory(std::int64_t rank) const {
        return memory_.at(static_cast<std::size_t>(rank));
    }

    [[nodiscard]] Counted counted() const;

  private:
    struct Clock {
        std::int64_t rounds = 0;
        std::int64_t elements = 0;
    };

    struct Lane {
        std::int64_t strand = 0;  ///< under way
        std::size_t round = 0;
        bool posted = false;
        std::int64_t outstanding = 0;
        std::int64_t weight = 0;
        Clock begun;
        Clock over;
        std::vector<Symbol> scratch;
    };

    struct End {
        std::size_t rank = 0;
        std::size_t lane = 0;
        Slice slice;
    };

    struct Channel {
        std::deque<End> sends;
        std::deque<End> receives;
    };

    struct Traffic {
        std::int64_t messages = 0;
        std::int64_t elements = 0;
        std::int64_t reduced = 0;
    };

    /// True if the lane moved on.
    bool advance(std::size_t rank, std::size_t lane_index);
    void post(std::size_t rank, std::size_t lane_index, const Round& round);
    void meet(Channel& channel);
    void finish_round(std::size_t rank, std::size_t lane_index, const Round& round);
    void check_round(const Round& round);
    void claim(std::size_t rank, std::int64_t strand, const Slice& slice);
    [[nodiscard]] Symbol& at(std::size_t rank,
                             std::size_t lane,
                             const Slice& slice,
                             std::int64_t i);

    std::vector<CollectivePlan> plans_;
    std::vector<SymbolMemory> memory_;
    std::vector<std::vector<Lane>> lanes_;  ///< by rank
    std::vector<Traffic> traffic_;
    std::vector<std::vector<std::int64_t>> owner_;  ///< by rank: strand of each cell, or -1
    std::map<std::tuple<std::size_t, std::size_t, std::size_t>, Channel> channels_;
    Clock first_strand_;
    std::string problem_;
};

}  // namespace traindyno::test
