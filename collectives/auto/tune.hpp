// SPDX-License-Identifier: Apache-2.0
// Measures the carriers of a group against each other, in bounded time and with one result for all.
#pragma once

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

struct TuningLimits {
    double seconds = 1.5;  ///< in all; sizes beyond it are extrapolated
    std::int64_t largest = std::int64_t{16} << 20;
};

/// Collective over `group`, whose members pass equal arguments; `carriers` begins with the one that
/// is kept where no other is 5 % faster. All decide by the slowest member's times, so all get the
/// same rows: every operation in both urgencies, at sizes from 4 KiB up.
[[nodiscard]] std::vector<TuningRow> tune(Communicator& group,
                                          const GroupShape& shape,
                                          std::span<const Carrier> carriers,
                                          const MeasureTrial& measure,
                                          const TuningLimits& limits);

}  // namespace traindyno
