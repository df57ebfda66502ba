// SPDX-License-Identifier: Apache-2.0
// Carriers against each other at one size: who is slow is not tried again (successive halving,
// Jamieson and Talwalkar, AISTATS 2016).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "collectives/auto/carrier.hpp"
#include "collectives/communicator.hpp"

namespace traindyno {

/// What is run: `calls` one after the other, after one that does not count if it is the first.
struct Trial {
    CollectiveOp op = CollectiveOp::all_reduce;
    Urgency urgency = Urgency::background;
    std::int64_t bytes = 0;  ///< as in TuningRow
    int calls = 1;
    bool is_first = false;  ///< of the carrier: connections and buffers are yet to be made
};

/// Runs a trial on all members at once; seconds per call on this one.
using MeasureTrial = std::function<double(Carrier, const Trial&)>;

/// Times trials on a group. What it says is the same on all members: the slowest one's.
class AgreedTimer {
  public:
    /// Collective: the members begin together.
    AgreedTimer(Communicator& group, const MeasureTrial& measure);

    /// Seconds per call. Members leave together, so the next trial needs no barrier.
    [[nodiscard]] double seconds(Carrier carrier, const Trial& trial);

    /// Seconds since the beginning, waits and agreements included.
    [[nodiscard]] double spent() const { return spent_; }

  private:
    /// The larger of both over all members.
    void agree(double& seconds, double& elapsed);

    Communicator& group_;
    const MeasureTrial& measure_;
    std::chrono::steady_clock::time_point start_;
    double spent_ = 0;
};

struct Entrant {
    Carrier carrier = Carrier::mpi;
    double expected = 0;  ///< seconds per call by what is known of other sizes; 0: nothing is
    double least = 0;     ///< seconds it cannot do without; 0: unknown
    double known = 0;     ///< seconds measured already: it is not run again
    bool is_new = true;   ///< not run yet

    /// Seconds per call, as far as anything is known.
    [[nodiscard]] double promise() const { return std::max(expected, least); }
};

/// On the timer's clock.
struct ContestTime {
    double first_until = 0;   ///< later no further entrant is tried, if one was
    double repeat_until = 0;  ///< later none is tried again
};

/// Seconds per call of each entrant, 0 of those that were not tried because there was no time or
/// they cannot win: they need at least, or are expected to take, clearly more than the best. One
/// trial each, then further ones of those near the best, ever nearer. Of several the lowest
/// quarter's: what else a machine does only makes them longer.
[[nodiscard]] std::vector<double> run_contest(AgreedTimer& timer,
                                              const Trial& trial,
                                              std::span<const Entrant> entrants,
                                              const ContestTime& time);

}  // namespace traindyno
