// SPDX-License-Identifier: Apache-2.0
// Waiting for a communication without burning a core.
#pragma once

#include "collectives/communicator.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// Pauses between two looks at the operation double from `first_pause` to `longest_pause`.
struct Patience {
    SimTime first_pause = std::chrono::microseconds{50};
    SimTime longest_pause = std::chrono::milliseconds{20};
    SimTime timeout = SimTime::max();  ///< HangError after this long
};

/// Sleeps until `pending` is complete. For ranks that are parked while others measure, and for
/// control traffic whose latency does not matter.
void wait_patiently(Pending& pending, const Patience& patience = {});

}  // namespace traindyno
