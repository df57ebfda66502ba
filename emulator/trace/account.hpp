// SPDX-License-Identifier: Apache-2.0
// Turns the trace of a step into its budget.
#pragma once

#include <span>
#include <vector>

#include "emulator/program/issue_order.hpp"
#include "emulator/trace/budget.hpp"
#include "emulator/trace/trace.hpp"

namespace traindyno {

/// When the members of a communication arrived at it, on the clock of the rank that holds this.
struct Arrival {
    SimTime earliest{0};
    SimTime latest{0};
};

/// Cuts the step into exclusive categories that add up to its length.
///
/// Compute spans go to their phase. Idle time before a compute operation is followed back through
/// whatever it waited for last: a communication under way counts as `exposed` from the arrival of
/// its latest member on and as `wait` before that; time in which nothing was outstanding is
/// `launch_gap`. The idle tail after the last compute operation is treated the same way.
///
/// `arrivals[i]` belongs to operation i (ignored for compute). `reference[i]` is the duration of
/// compute operation i without any communication; what overlapped compute takes beyond it is
/// `compute_slowdown`. An empty `reference` books no slowdown. `bubble` stays 0: it needs the other
/// stages (split_bubble).
[[nodiscard]] Budget account(const IssueOrder& order,
                             const StepTrace& step,
                             std::span<const Arrival> arrivals,
                             std::span<const SimTime> reference);

/// Moves idle time that the pipeline schedule itself causes from the waits for other stages into
/// `bubble`: at most `bubble_seconds`, what the schedule's formula gives (bubble() in
/// program/schedule.hpp).
[[nodiscard]] Budget split_bubble(const Budget& budget, double bubble_seconds);

}  // namespace traindyno
