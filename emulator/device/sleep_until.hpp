// SPDX-License-Identifier: Apache-2.0
// Deadlines on the clock of `now()` as the kernel wants them.
#pragma once

#include <algorithm>
#include <ctime>

#include "emulator/base/units.hpp"

namespace traindyno {

/// `deadline` rounded up to a nanosecond, so that nobody wakes before it; never negative.
[[nodiscard]] inline timespec to_timespec(SimTime deadline) {
    constexpr std::int64_t ps_per_ns = 1000;
    constexpr std::int64_t ns_per_s = 1'000'000'000;
    const std::int64_t ps = std::max<std::int64_t>(deadline.count(), 0);
    const std::int64_t ns = ps / ps_per_ns + (ps % ps_per_ns == 0 ? 0 : 1);
    return {.tv_sec = ns / ns_per_s, .tv_nsec = ns % ns_per_s};
}

/// Sleeps until `deadline` on CLOCK_MONOTONIC; a signal may end it early.
inline void sleep_until(SimTime deadline) {
    const timespec time = to_timespec(deadline);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

}  // namespace traindyno
