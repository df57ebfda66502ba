// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t pattern_values = 4;

/// Pattern of member `rank` at element `index`: 1..4, different on neighbouring ranks and buffers.
std::int64_t pattern(std::int64_t rank, std::uint32_t key, std::int64_t index) {
    return 1 + (rank + key + index / check_stride) % pattern_values;
}

/// Closed form of the reduction over ranks 0..size-1: full cycles of 1+2+3+4, then the rest.
std::int64_t reduced(Reduction reduction,
                     std::int64_t size,
                     std::uint32_t key,
                     std::int64_t index) {
    const std::int64_t cycles = size / pattern_values;
    const std::int64_t rest = size % pattern_values;
    std::int64_t sum = cycles * (pattern_values * (pattern_values + 1) / 2);
    std::int64_t largest = cycles > 0 ? pattern_values : 0;
    for (std::int64_t rank = 0; rank < rest; ++rank) {
        sum += pattern(rank, key, index);
        largest = std::max(largest, pattern(rank, key, index));
    }
    return reduction == Reduction::sum ? sum : largest;
}

template <class Element>
void put(std::byte* at, Element element) {
    std::memcpy(at, &element, sizeof element);
}

template <class Element>
Element get(const std::byte* at) {
    Element element{};
    std::memcpy(&element, at, sizeof element);
    return element;
}

void store(std::byte* at, DType type, float value) {
    if (type == DType::fp32) {
        put(at, value);
    } else if (type == DType::bf16) {
        put(at, to_bf16(value));
    } else {
        put(at, to_fp16(value));
    }
}

float load(const std::byte* at, DType type) {
    if (type == DType::fp32) {
        return get<float>(at);
    }
    return type == DType::bf16 ? to_float(get<Bf16>(at)) : to_float(get<Fp16>(at));
}

/// Calls `visit(element index)` for every element that carries a pattern.
template <class Visit>
void for_each_marked(std::int64_t elements, Visit&& visit) {
    if (elements < check_minimum) {
        return;
    }
    for (std::int64_t index = 0; index < elements - 1; index += check_stride) {
        visit(index);
    }
    visit(elements - 1);
}

/// The integer up to which a type holds all: 2 to the power of its significant bits.
std::int64_t largest_exact(DType type) {
    constexpr int bf16_bits = 8;
    constexpr int fp16_bits = 11;
    constexpr int fp32_bits = 24;
    const int bits = type == DType::bf16 ? bf16_bits : type == DType::fp16 ? fp16_bits : fp32_bits;
    return std::int64_t{1} << bits;
}

/// Partial sums of positive integers do not exceed the whole. Beyond what is exact, every one of
/// `size` additions may round by half a unit.
float tolerance(DType type, std::int64_t expected, std::int64_t size) {
    const std::int64_t exact = largest_exact(type);
    return expected <= exact ? 0.0F
                             : static_cast<float>(expected) * static_cast<float>(size) /
                                   static_cast<float>(exact);
}

}  // namespace

void stamp(std::span<std::byte> buffer, DType type, GroupRank rank, std::uint32_t key) {
    TD_EXPECT(type == DType::fp32 || type == DType::bf16 || type == DType::fp16);
    const std::int64_t width = element_size(type);
    for_each_marked(static_cast<std::int64_t>(buffer.size()) / width, [&](std::int64_t index) {
        store(buffer.data() + index * width,
              type,
              static_cast<float>(pattern(rank.value(), key, index)));
    });
}

ReductionChecks check(std::span<const std::byte> buffer,
                      DType type,
                      Reduction reduction,
                      std::int64_t size,
                      std::uint32_t key) {
    ReductionChecks result;
    const std::int64_t width = element_size(type);
    for_each_marked(static_cast<std::int64_t>(buffer.size()) / width, [&](std::int64_t index) {
        const std::int64_t expected = reduced(reduction, size, key, index);
        const float error =
            std::abs(load(buffer.data() + index * width, type) - static_cast<float>(expected));
        ++result.checked;
        // Negated so that a NaN counts as wrong.
        result.wrong += !(error <= tolerance(type, expected, size)) ? 1 : 0;
    });
    return result;
}

}  // namespace traindyno
