// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

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

}  // namespace

void stamp(std::span<std::byte> buffer, DType type, GroupRank rank, std::uint32_t key) {
    TD_EXPECT(type == DType::fp32 || type == DType::bf16);
    const std::int64_t width = element_size(type);
    const std::int64_t elements = static_cast<std::int64_t>(buffer.size()) / width;
    for (std::int64_t mark = 0; mark < marks_in(elements); ++mark) {
        const std::int64_t index = marked_element(mark, elements);
        store(buffer.data() + index * width,
              type,
              static_cast<float>(pattern(rank.value(), key, index)));
    }
}

ReductionChecks check(std::span<const std::byte> buffer,
                      DType type,
                      Reduction reduction,
                      std::int64_t size,
                      std::uint32_t key) {
    const std::int64_t width = element_size(type);
    const std::int64_t elements = static_cast<std::int64_t>(buffer.size()) / width;
    ReductionChecks result{.checked = marks_in(elements)};
    for (std::int64_t mark = 0; mark < result.checked; ++mark) {
        const std::int64_t index = marked_element(mark, elements);
        const std::int64_t expected = reduced_pattern(reduction, size, key, index);
        const float error =
            std::abs(load(buffer.data() + index * width, type) - static_cast<float>(expected));
        // Negated so that a NaN counts as wrong.
        result.wrong += !(error <= pattern_tolerance(type, expected, size)) ? 1 : 0;
    }
    return result;
}

}  // namespace traindyno
