// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

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

void store(std::byte* at, DType type, float value) {
    if (type == DType::fp32) {
        std::memcpy(at, &value, sizeof value);
        return;
    }
    // Small integers are exact in bf16: the upper half of the fp32 value.
    const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16U);
    std::memcpy(at, &bits, sizeof bits);
}

float load(const std::byte* at, DType type) {
    if (type == DType::fp32) {
        float value = 0;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof bits);
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// Element index of mark `mark` of `count`.
std::int64_t marked_index(std::int64_t mark, std::int64_t count, std::int64_t elements) {
    return mark < count - 1 ? mark * check_stride : elements - 1;
}

/// bf16 keeps 8 significant bits, and every one of `size` additions may round by half a unit.
float tolerance(DType type, std::int64_t expected, std::int64_t size) {
    constexpr float bf16_half_unit = 1.0F / 256;
    return type == DType::bf16
               ? static_cast<float>(expected) * static_cast<float>(size) * bf16_half_unit
               : 0.0F;
}

}  // namespace

std::int64_t mark_count(std::int64_t elements) {
    return elements < check_minimum ? 0 : (elements - 1 + check_stride - 1) / check_stride + 1;
}

void stamp(std::span<std::byte> marks,
           std::int64_t elements,
           DType type,
           GroupRank rank,
           std::uint32_t key) {
    TD_EXPECT(type == DType::fp32 || type == DType::bf16);
    const std::int64_t count = mark_count(elements);
    TD_EXPECT(static_cast<std::int64_t>(marks.size()) == count * element_size(type));
    for (std::int64_t mark = 0; mark < count; ++mark) {
        const std::int64_t index = marked_index(mark, count, elements);
        store(marks.data() + mark * element_size(type),
              type,
              static_cast<float>(pattern(rank.value(), key, index)));
    }
}

ReductionChecks check(std::span<const std::byte> marks,
                      std::int64_t elements,
                      DType type,
                      Reduction reduction,
                      std::int64_t size,
                      std::uint32_t key) {
    const std::int64_t count = mark_count(elements);
    TD_EXPECT(static_cast<std::int64_t>(marks.size()) == count * element_size(type));
    ReductionChecks result{.checked = count, .wrong = 0};
    for (std::int64_t mark = 0; mark < count; ++mark) {
        const std::int64_t expected =
            reduced(reduction, size, key, marked_index(mark, count, elements));
        const float error = std::abs(load(marks.data() + mark * element_size(type), type) -
                                     static_cast<float>(expected));
        // Negated so that a NaN counts as wrong.
        result.wrong += !(error <= tolerance(type, expected, size)) ? 1 : 0;
    }
    return result;
}

}  // namespace traindyno
