// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include "emulator/device/device.hpp"

namespace traindyno {

namespace {

/// SimTime holds 106 days; hosts stay up longer. Whole periods since boot are left out, the same
/// number in every process that starts within one period.
constexpr std::int64_t period_s = std::int64_t{50} * 24 * 3600;

timespec monotonic() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

}  // namespace

SimTime now() {
    static const std::int64_t epoch_s = monotonic().tv_sec / period_s * period_s;
    const timespec time = monotonic();
    return std::chrono::seconds{time.tv_sec - epoch_s} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace traindyno
