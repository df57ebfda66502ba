// SPDX-License-Identifier: Apache-2.0
// Random values by counter: the same on every device, whatever the order in which they are asked
// for.
#pragma once

#include <cstdint>

#include "emulator/base/host_device.hpp"

namespace traindyno {

/// Of weights, norm scales included. GPT-3's own deviation of 0.02 would blow gradients up where
/// all layers share one layer's memory: with an input of sqrt(2) d (table and positions), the MLP
/// adds d / (sqrt(2) d) x d sqrt(h) x d sqrt(4h) / 2 = 0.7 d^2 h of a gradient to it: 3.4 times as
/// much in every layer for h = 12288, infinite after some 60, but 0.14 here. (On a CPU, h = 2048
/// and 24 layers: times 1.8 per layer with 0.02, times 1.006 with 0.004.)
inline constexpr float weight_deviation = 0.004F;
inline constexpr float activation_deviation = 1.0F;

/// 32 well mixed bits per (seed, index): the finaliser of MurmurHash3 (public domain).
[[nodiscard]] TD_HOST_DEVICE std::uint32_t mixed_bits(std::uint32_t seed, std::uint32_t index) {
    std::uint32_t h = index * 0x9e3779b9U + seed;
    h ^= h >> 16U;
    h *= 0x85ebca6bU;
    h ^= h >> 13U;
    h *= 0xc2b2ae35U;
    h ^= h >> 16U;
    return h;
}

/// Random token of `row`, in [0, vocab).
[[nodiscard]] TD_HOST_DEVICE std::int64_t token_of(std::uint32_t seed,
                                                   std::int64_t row,
                                                   std::int64_t vocab) {
    const std::uint64_t bits = mixed_bits(seed, static_cast<std::uint32_t>(row));
    return static_cast<std::int64_t>(bits * static_cast<std::uint64_t>(vocab) >> 32U);
}

/// The token that `row` has to predict; differs from its own.
[[nodiscard]] TD_HOST_DEVICE std::int64_t target_of(std::uint32_t seed,
                                                    std::int64_t row,
                                                    std::int64_t vocab) {
    constexpr std::uint32_t target_stream = 0x7a3d4e51U;
    return token_of(seed ^ target_stream, row, vocab);
}

/// Sum of four uniform 16-bit values: mean 0 and variance 1 after scaling (Irwin-Hall), range
/// +-3.46. Vectorises; good enough for switching activity.
[[nodiscard]] TD_HOST_DEVICE float normal_value(std::uint32_t seed,
                                                std::uint32_t index,
                                                float deviation) {
    constexpr float mean = 2.0F * 65535.0F;
    const float scale = deviation * 1.7320508F / 65536.0F;  // sqrt(3): 4 values of variance 1/12
    const std::uint32_t a = mixed_bits(seed, index);
    const std::uint32_t b = mixed_bits(seed ^ 0x5bd1e995U, index);
    const std::uint32_t sum = (a & 0xffffU) + (a >> 16U) + (b & 0xffffU) + (b >> 16U);
    return (static_cast<float>(static_cast<std::int32_t>(sum)) - mean) * scale;
}

}  // namespace traindyno
