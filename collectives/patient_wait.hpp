// SPDX-License-Identifier: Apache-2.0
// Waiting for a communication without burning a core.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// Pauses between two looks at the operation double from `first_pause` to `longest_pause`. A look
/// costs 20 to 60 us of CPU, most of it the wake-up (measured: tests/mpi/patient_wait_test.cpp).
struct Patience {
    SimTime first_pause = std::chrono::microseconds{50};
    SimTime longest_pause = std::chrono::milliseconds{50};
    SimTime timeout = SimTime::max();  ///< HangError after this long
};

/// "rank 3", "ranks 1, 2"; "a rank" where nobody is known.
[[nodiscard]] std::string members_text(const std::vector<GroupRank>& members);

/// Sleeps until `pending` is complete. For ranks that are parked while others measure, and for
/// control traffic whose latency does not matter.
void wait_patiently(Pending& pending, const Patience& patience = {});

/// Looks without pause, but lets others have the core. Where nothing else is to be done and every
/// microsecond counts.
void wait_awake(Pending& pending);

/// Of an operation that is not complete after `timeout`: names it and the members that it lacks.
[[nodiscard]] HangError hang_of(std::string_view operation,
                                SimTime timeout,
                                const Pending& pending);

}  // namespace traindyno
