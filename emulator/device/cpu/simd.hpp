// SPDX-License-Identifier: Apache-2.0
// Building blocks of loops that the compiler turns into vector code, for each processor level.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "emulator/base/vector_clones.hpp"

namespace traindyno {

/// bfloat16: the upper half of a float.
struct Bf16 {
    std::uint16_t bits = 0;
};

[[gnu::always_inline]] inline float load(float value) {
    return value;
}

[[gnu::always_inline]] inline float load(Bf16 value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}

[[gnu::always_inline]] inline void store(float& to, float value) {
    to = value;
}

/// Rounds to nearest even.
[[gnu::always_inline]] inline void store(Bf16& to, float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    to.bits = static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

/// e^x, relative error below 2e-7; x is clamped to [-87, 88], where results are normal floats.
[[gnu::always_inline]] inline float fast_exp(float x) {
    x = x < -87.0F ? -87.0F : x;
    x = x > 88.0F ? 88.0F : x;
    constexpr float log2_e = 1.44269504F;
    constexpr float ln2_high = 0.693359375F;  // exact in 10 bits, so that n * ln2_high is exact
    constexpr float ln2_low = -2.12194440e-4F;
    constexpr float round_to_integer = 12582912.0F;  // 1.5 * 2^23
    const float n = (x * log2_e + round_to_integer) - round_to_integer;
    const float r = (x - n * ln2_high) - n * ln2_low;  // in [-ln2/2, ln2/2]
    float p = 1.0F / 720.0F;                           // Taylor series of e^r
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

/// 1 / (1 + e^-x)
[[gnu::always_inline]] inline float sigmoid(float x) {
    return 1.0F / (1.0F + fast_exp(-x));
}

}  // namespace traindyno
