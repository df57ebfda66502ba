// SPDX-License-Identifier: Apache-2.0
// Measures the carriers of a group against each other, in bounded time and with one result for all.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "collectives/auto/contest.hpp"
#include "collectives/auto/tuning_table.hpp"
#include "collectives/communicator.hpp"

namespace traindyno {

/// Seconds by a formula, 0 where there is none.
struct KnownCost {
    double least = 0;    ///< that a carrier cannot do without
    double typical = 0;  ///< how its times grow with the size
};

/// Equal on all members; may be empty.
using KnownCosts = std::function<KnownCost(Carrier, CollectiveOp, std::int64_t bytes)>;

/// No size beyond this is tried: from here on time grows in proportion.
inline constexpr std::int64_t largest_trial = std::int64_t{16} << 20;

/// Bytes of the largest message of each operation; 0: there is none, and it is not tried.
using LargestMessages = std::array<std::int64_t, enum_count<CollectiveOp>>;

struct TuningLimits {
    double seconds = 1;  ///< in all, about; sizes that would take longer are extrapolated
    LargestMessages largest{
        largest_trial, largest_trial, largest_trial, largest_trial, largest_trial};
};

/// Collective over `group`, whose members pass equal arguments; `carriers` begins with the one that
/// is kept where no other is 5 % faster. All decide by the slowest member's times, so all get the
/// same rows: every operation in both urgencies, from 4 KiB to its largest message. Where a call
/// takes milliseconds its urgency makes a difference to the first carrier only, which may have
/// other algorithms for it; the others are timed once for both.
[[nodiscard]] std::vector<TuningRow> tune(Communicator& group,
                                          const GroupShape& shape,
                                          std::span<const Carrier> carriers,
                                          const MeasureTrial& measure,
                                          const TuningLimits& limits,
                                          const KnownCosts& costs = {});

}  // namespace traindyno
