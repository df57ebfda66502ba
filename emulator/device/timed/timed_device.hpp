// SPDX-License-Identifier: Apache-2.0
// A device whose operations take the time they are told to, on a core that stays free.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "emulator/device/device.hpp"

namespace traindyno {

struct TimedOptions {
    std::function<SimTime(const ComputeOp&)> duration;  ///< of each operation, without queueing
    std::string name;                                   ///< of the device that is stood in for
    Precision precision = Precision::fp32;
    FlopRate peak{0};
    Bytes memory_limit{0};  ///< of the device that is stood in for; 0 = no limit
};

/// Operations run back to back on a virtual queue: each begins when it is submitted or when its
/// predecessor ends, whichever is later. Memory is address space that takes pages once written.
[[nodiscard]] std::unique_ptr<Device> make_timed_device(TimedOptions options);

}  // namespace traindyno
