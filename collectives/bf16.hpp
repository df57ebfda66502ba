// SPDX-License-Identifier: Apache-2.0
// bf16 values as 16-bit patterns: conversion and reductions that compute in fp32.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace traindyno {

/// The upper half of an IEEE 754 binary32.
enum class Bf16 : std::uint16_t {};

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

// Element by element, in fp32: into <- into + from, and into <- max(into, from). Equal lengths.
void add_bf16(std::span<const Bf16> from, std::span<Bf16> into);
void max_bf16(std::span<const Bf16> from, std::span<Bf16> into);

}  // namespace traindyno
