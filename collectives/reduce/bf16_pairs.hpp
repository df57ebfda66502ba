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

/// The two sums of a pair.
struct PairSum {
    float first = 0;
    float second = 0;
};

/// Pair i of the reduction of `n` inputs and, where it continues, of what was there.
template <class Operation, std::size_t n, Start start>
[[gnu::always_inline]] inline PairSum sum_of_pairs(const Bf16Pair* const* inputs,
                                                   const float* firsts,
                                                   const float* seconds,
                                                   std::size_t i) {
    const std::uint32_t pair = inputs[0][i].bits;
    PairSum sum{.first = first_of(pair), .second = second_of(pair)};
    if constexpr (start == Start::continued) {
        sum = {.first = Operation::of(firsts[i], sum.first),
               .second = Operation::of(seconds[i], sum.second)};
    }
    for (std::size_t k = 1; k < n; ++k) {
        const std::uint32_t next = inputs[k][i].bits;
        sum = {.first = Operation::of(sum.first, first_of(next)),
               .second = Operation::of(sum.second, second_of(next))};
    }
    return sum;
}

[[gnu::always_inline]] inline std::uint32_t rounded_pair(PairSum sum) {
    return (rounded_bits(sum.first) >> 16) | (rounded_bits(sum.second) & 0xffff0000U);
}

/// firsts, seconds <- the reduction of `count` pairs.
template <class Operation, std::size_t n, Start start>
TD_CLONES void reduce_pairs(const Bf16Pair* const* inputs,
                            float* __restrict firsts,
                            float* __restrict seconds,
                            std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const PairSum sum = sum_of_pairs<Operation, n, start>(inputs, firsts, seconds, i);
        firsts[i] = sum.first;
        seconds[i] = sum.second;
    }
}

/// to <- the reduction of `count` pairs, rounded: the sums of the last inputs need no memory.
template <class Operation, std::size_t n, Start start>
TD_CLONES void finish_pairs(const Bf16Pair* const* inputs,
                            const float* __restrict firsts,
                            const float* __restrict seconds,
                            Bf16Pair* __restrict to,
                            std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        to[i].bits = rounded_pair(sum_of_pairs<Operation, n, start>(inputs, firsts, seconds, i));
    }
}

TD_CLONES inline void round_pairs(const float* __restrict firsts,
                                  const float* __restrict seconds,
                                  Bf16Pair* __restrict to,
                                  std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        to[i].bits = rounded_pair({.first = firsts[i], .second = seconds[i]});
    }
}

}  // namespace traindyno
