// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include "emulator/device/device.hpp"

namespace traindyno {

SimTime now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace traindyno
