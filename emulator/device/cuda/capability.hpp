// SPDX-License-Identifier: Apache-2.0
// What a CUDA device is called, and what it can do.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "emulator/base/precision.hpp"

namespace traindyno {

/// Why a device of compute capability `capability` (x 10: 90 for sm_90) cannot train in
/// `precision`; nothing when it can. Tensor cores take bf16 and tf32 from Ampere on, fp8 from Ada
/// and Hopper on (CUDA C++ Programming Guide, "Compute Capabilities").
[[nodiscard]] std::optional<std::string> lacks_precision(int capability, Precision precision);

// The rest needs the device.

/// "NVIDIA H200".
[[nodiscard]] std::string device_name(int ordinal);
[[nodiscard]] int multiprocessors_of(int ordinal);

/// Throws ConfigError when device `ordinal` lacks `precision`.
void require_precision(int ordinal, Precision precision);

/// Throws ConfigError unless `reserved` multiprocessors of device `ordinal` leave some for
/// products.
void require_multiprocessors(int ordinal, int reserved);

}  // namespace traindyno
