// SPDX-License-Identifier: Apache-2.0
// 16-bit floating-point values as bit patterns: conversion from and to fp32.
#pragma once

#include <bit>
#include <cstdint>

namespace traindyno {

/// The upper half of an IEEE 754 binary32.
enum class Bf16 : std::uint16_t {};

/// IEEE 754 binary16.
enum class Fp16 : std::uint16_t {};

[[nodiscard]] constexpr float to_float(Bf16 value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
[[nodiscard]] constexpr Bf16 to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t to_even = (bits >> 16) & 1U;
    const std::uint32_t rounded = (bits + 0x7fffU + to_even) >> 16;
    const std::uint32_t quiet_nan = (bits >> 16) | 0x40U;
    const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
    return static_cast<Bf16>(is_nan ? quiet_nan : rounded);
}

[[nodiscard]] constexpr float to_float(Fp16 value) {
    const auto bits = static_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t magnitude = bits & 0x7fffU;
    if (magnitude >= 0x7c00U) {  // infinity, NaN
        return std::bit_cast<float>(sign | 0x7f800000U | ((magnitude & 0x3ffU) << 13));
    }
    // The exponent's bias differs by 112; the product is exact, for subnormal halves too.
    const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

/// Rounds to nearest, ties to even; beyond 65504 to infinity; NaN stays NaN.
[[nodiscard]] constexpr Fp16 to_fp16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) {
        return static_cast<Fp16>(sign | 0x7e00U);
    }
    if (magnitude >= 0x477ff000U) {  // 65520, from where on the nearest half is infinity
        return static_cast<Fp16>(sign | 0x7c00U);
    }
    if (magnitude < 0x38800000U) {  // below 2^-14: adding 1/2 rounds to a multiple of 2^-24
        const float rounded = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<Fp16>(sign | (std::bit_cast<std::uint32_t>(rounded) - 0x3f000000U));
    }
    const std::uint32_t to_even = (magnitude >> 13) & 1U;
    const std::uint32_t rounded = magnitude - 0x38000000U + 0xfffU + to_even;
    return static_cast<Fp16>(sign | (rounded >> 13));
}

}  // namespace traindyno
