// SPDX-License-Identifier: Apache-2.0
// Normally distributed numbers in the types that GPU matrix products read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/device/gemm_plans/gemm_types.hpp"

namespace traindyno {

/// `value` rounded to nearest, as its bytes in memory; numbers beyond fp8's range saturate.
void store(GemmType type, float value, std::byte* out);

/// `count` numbers of N(0, deviation^2), the same at every call, but no more than a prime near
/// 2^18: repeated along a matrix, they make rows that differ. A GPU's power, and so its clock,
/// depends on the bits it multiplies.
[[nodiscard]] std::vector<std::byte> normal_numbers(GemmType type,
                                                    double deviation,
                                                    std::int64_t count);

}  // namespace traindyno
