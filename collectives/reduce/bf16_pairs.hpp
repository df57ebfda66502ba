// SPDX-License-Identifier: Apache-2.0
// bf16 by pairs: two neighbours in one word become two floats without any shuffling, which is what
// limits vector code that widens element by element.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "collectives/half_types.hpp"
#include "emulator/base/vector_clones.hpp"

namespace traindyno {

static_assert(std::endian::native == std::endian::little);

/// The first element is in the lower half. May lie where a bf16 may.
struct [[gnu::packed, gnu::may_alias]] Bf16Pair {
    std::uint32_t bits;
};

[[gnu::always_inline]] inline float first_of(std::uint32_t pair) {
    return std::bit_cast<float>(pair << 16);
}

[[gnu::always_inline]] inline float second_of(std::uint32_t pair) {
    return std::bit_cast<float>(pair & 0xffff0000U);
}

/// The upper half of what to_bf16() makes of it.
[[gnu::always_inline]] inline std::uint32_t rounded_bits(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = bits + 0x7fffU + ((bits >> 16) & 1U);
    return value != value ? bits | 0x400000U : rounded;
}

/// Whether sums are begun, or go on from what is there.
enum class Start : std::uint8_t { fresh, continued };

/// firsts, seconds <- the reduction of `count` pairs of each of `n` inputs and, where it continues,
/// of what was there.
template <class Operation, std::size_t n, Start start>
TD_CLONES void reduce_pairs(const Bf16Pair* const* inputs,
                            float* __restrict firsts,
                            float* __restrict seconds,
                            std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t pair = inputs[0][i].bits;
        float first = first_of(pair);
        float second = second_of(pair);
        if constexpr (start == Start::continued) {
            first = Operation::of(firsts[i], first);
            second = Operation::of(seconds[i], second);
        }
        for (std::size_t k = 1; k < n; ++k) {
            const std::uint32_t next = inputs[k][i].bits;
            first = Operation::of(first, first_of(next));
            second = Operation::of(second, second_of(next));
        }
        firsts[i] = first;
        seconds[i] = second;
    }
}

TD_CLONES inline void round_pairs(const float* __restrict firsts,
                                  const float* __restrict seconds,
                                  Bf16Pair* __restrict to,
                                  std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        to[i].bits = (rounded_bits(firsts[i]) >> 16) | (rounded_bits(seconds[i]) & 0xffff0000U);
    }
}

}  // namespace traindyno
