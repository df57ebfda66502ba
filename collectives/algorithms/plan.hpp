// SPDX-License-Identifier: Apache-2.0
// A collective as data: what one rank sends, receives and computes, in which order.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/cost/chunking.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

/// Where elements lie: what the caller gave, what he gets, or memory of the operation. Where an
/// operation is in place, input and work overlap.
enum class PlanBuffer : std::uint8_t { input, work, scratch };

/// Elements first .. first + count - 1. Scratch counts from the beginning of the strand's lane.
struct Slice {
    PlanBuffer buffer = PlanBuffer::work;
    std::int64_t first = 0;
    std::int64_t count = 0;

    friend bool operator==(const Slice&, const Slice&) = default;
};

struct Message {
    GroupRank peer;
    Slice slice;  ///< what is sent, or where it is received
};

/// copy: into <- from. combine: into <- into (+) from. finish: into <- into / ranks if the
/// reduction is an average.
struct LocalStep {
    enum class Kind : std::uint8_t { copy, combine, finish };

    Kind kind = Kind::copy;
    Slice from;
    Slice into;
};

/// All messages of a round are under way together; when all have arrived, its steps follow, in
/// order. No message of a round writes what another one of it reads or writes.
struct Round {
    std::vector<Message> sends;
    std::vector<Message> receives;
    std::vector<LocalStep> steps;
};

/// Rounds one after the other. Strands touch different elements. Messages of a strand between two
/// ranks are posted in the same order on both.
struct Strand {
    std::vector<Round> rounds;
};

/// One rank's share of a collective. Strand i belongs to lane i mod lanes: the strands of a lane
/// run one after the other and share scratch memory, lanes run side by side.
struct CollectivePlan {
    std::vector<Strand> strands = {};
    std::int64_t lanes = 1;
    std::int64_t lane_scratch = 0;  ///< elements
};

}  // namespace traindyno
