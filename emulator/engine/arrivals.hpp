// SPDX-License-Identifier: Apache-2.0
// Who came last: the members of each communication exchange when they arrived at it.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "emulator/engine/engine.hpp"
#include "emulator/trace/account.hpp"

namespace traindyno {

/// Converts this rank's clock to the one all ranks share.
using ToCommonClock = std::function<SimTime(SimTime)>;

/// Rewrites `steps` (traced, same number on every rank) to the common clock and returns, for each
/// step, the arrivals at its operations. Collective over every group of the program; run it between
/// steps.
[[nodiscard]] std::vector<std::vector<Arrival>> exchange_arrivals(const IssueOrder& order,
                                                                  std::span<StepTrace> steps,
                                                                  GroupCommunicators& communicators,
                                                                  const ToCommonClock& to_common);

}  // namespace traindyno
