// SPDX-License-Identifier: Apache-2.0
// The known values that in-step verification puts into buffers before they are reduced, and their
// closed form afterwards: one definition for host and device code.
#pragma once

#include <cstdint>

#include "emulator/base/dtype.hpp"
#include "emulator/base/host_device.hpp"
#include "emulator/base/reduction.hpp"

namespace traindyno {

/// Every `check_stride`-th element of a reduced buffer, and its last, carries a pattern.
inline constexpr std::int64_t check_stride = 4096;
/// Buffers below this size are left alone: a gradient norm or a loss is used right after.
inline constexpr std::int64_t check_minimum = 64;

/// How many elements of a buffer carry a pattern.
[[nodiscard]] TD_HOST_DEVICE std::int64_t marks_in(std::int64_t elements) {
    return elements < check_minimum ? 0 : (elements - 2) / check_stride + 2;
}

/// The element that carries pattern `mark`, in [0, marks_in(elements)).
[[nodiscard]] TD_HOST_DEVICE std::int64_t marked_element(std::int64_t mark, std::int64_t elements) {
    const std::int64_t index = mark * check_stride;
    return index < elements - 1 ? index : elements - 1;
}

/// Values of a pattern: 1 to this. A prime other than 2, so that sums over 2, 4, 8, ... members
/// still tell parts of a buffer apart.
inline constexpr std::int64_t pattern_period = 7;

/// Pattern of member `rank` at element `index`, different on neighbouring ranks and buffers.
[[nodiscard]] TD_HOST_DEVICE std::int64_t pattern(std::int64_t rank,
                                                  std::uint32_t key,
                                                  std::int64_t index) {
    return 1 + (rank + key + index / check_stride) % pattern_period;
}

/// Closed form of the reduction over ranks 0..size-1: full cycles of 1+2+...+7, then the rest.
[[nodiscard]] TD_HOST_DEVICE float reduced_pattern(Reduction reduction,
                                                   std::int64_t size,
                                                   std::uint32_t key,
                                                   std::int64_t index) {
    constexpr std::int64_t cycle = pattern_period * (pattern_period + 1) / 2;
    std::int64_t sum = size / pattern_period * cycle;
    std::int64_t largest = size < pattern_period ? 0 : pattern_period;
    for (std::int64_t rank = 0; rank < size % pattern_period; ++rank) {
        const std::int64_t value = pattern(rank, key, index);
        sum += value;
        largest = largest < value ? value : largest;
    }
    if (reduction == Reduction::max) {
        return static_cast<float>(largest);
    }
    const auto whole = static_cast<float>(sum);  // exact: below 2^24 up to 4 million ranks
    return reduction == Reduction::average ? whole / static_cast<float>(size) : whole;
}

/// The integer up to which `type` holds all: 2 to the power of its significant bits.
[[nodiscard]] TD_HOST_DEVICE std::int64_t largest_exact(DType type) {
    return type == DType::bf16 ? 1 << 8 : type == DType::fp16 ? 1 << 11 : 1 << 24;
}

/// Largest distance of a right result from `expected`. Partial sums of positive integers do not
/// exceed the whole; beyond what is exact, every one of `size` additions may round by half a unit.
/// An average may be one of scaled addends (ncclAvg): the factor and each product round too.
[[nodiscard]] TD_HOST_DEVICE float pattern_tolerance(DType type,
                                                     Reduction reduction,
                                                     float expected,
                                                     std::int64_t size) {
    const auto exact = static_cast<float>(largest_exact(type));
    if (reduction == Reduction::average) {
        return expected * static_cast<float>(size + 2) / exact;
    }
    return expected <= exact ? 0.0F : expected * static_cast<float>(size) / exact;
}

}  // namespace traindyno
