// SPDX-License-Identifier: Apache-2.0
// Measures the carriers of a group against each other, in bounded time and with one result for all.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "collectives/auto/tuning_table.hpp"
#include "collectives/communicator.hpp"

namespace traindyno {

/// What is run once.
struct Trial {
    CollectiveOp op = CollectiveOp::all_reduce;
    Urgency urgency = Urgency::background;
    std::int64_t bytes = 0;  ///< as in TuningRow
};

/// Runs a trial on all members at once; seconds on this one.
using MeasureTrial = std::function<double(Carrier, const Trial&)>;

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
/// same rows: every operation in both urgencies, from 4 KiB to its largest message.
[[nodiscard]] std::vector<TuningRow> tune(Communicator& group,
                                          const GroupShape& shape,
                                          std::span<const Carrier> carriers,
                                          const MeasureTrial& measure,
                                          const TuningLimits& limits);

}  // namespace traindyno
