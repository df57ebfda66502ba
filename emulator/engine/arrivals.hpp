// SPDX-License-Identifier: Apache-2.0
// Who came last: the members of each communication exchange when they arrived at it.
#pragma once

#include <span>
#include <vector>

#include "emulator/engine/step_runner.hpp"
#include "emulator/program/issue_order.hpp"
#include "emulator/trace/account.hpp"
#include "emulator/trace/clock_sync.hpp"

namespace traindyno {

/// Rewrites `steps` (traced, same number on every rank) to the common clock and returns, for each
/// step, the arrivals at its operations. Collective over every group of the program; run it between
/// steps.
[[nodiscard]] std::vector<std::vector<Arrival>> exchange_arrivals(
    const IssueOrder& order,
    std::span<StepTrace> steps,
    const GroupCommunicators& communicators,
    const ClockSync& clock);

}  // namespace traindyno
