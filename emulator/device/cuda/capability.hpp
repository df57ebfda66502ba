// SPDX-License-Identifier: Apache-2.0
// What a CUDA device is called, and which precisions it has.
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

/// "NVIDIA H200". Needs the device.
[[nodiscard]] std::string device_name(int ordinal);

/// Throws ConfigError when device `ordinal` lacks `precision`.
void require_precision(int ordinal, Precision precision);

}  // namespace traindyno
