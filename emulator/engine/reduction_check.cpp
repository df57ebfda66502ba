// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <cmath>
#include <cstring>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

template <class T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}

template <class T>
T get(const std::byte* at) {
    T value{};
    std::memcpy(&value, at, sizeof value);
    return value;
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

/// How many marks there are; they must fill `bytes`.
std::int64_t count_of(std::size_t bytes, std::int64_t elements, DType type) {
    TD_EXPECT(type == DType::fp32 || type == DType::bf16 || type == DType::fp16);
    const std::int64_t count = marks_in(elements);
    TD_EXPECT(static_cast<std::int64_t>(bytes) == count * element_size(type));
    return count;
}

}  // namespace

void stamp(std::span<std::byte> marks,
           std::int64_t elements,
           DType type,
           GroupRank rank,
           std::uint32_t key) {
    const std::int64_t count = count_of(marks.size(), elements, type);
    for (std::int64_t mark = 0; mark < count; ++mark) {
        const std::int64_t value = pattern(rank.value(), key, marked_element(mark, elements));
        store(marks.data() + mark * element_size(type), type, static_cast<float>(value));
    }
}

ReductionChecks check(std::span<const std::byte> marks,
                      std::int64_t elements,
                      DType type,
                      Reduction reduction,
                      std::int64_t size,
                      std::uint32_t key) {
    const std::int64_t count = count_of(marks.size(), elements, type);
    ReductionChecks result{.checked = count, .wrong = 0};
    for (std::int64_t mark = 0; mark < count; ++mark) {
        const float expected =
            reduced_pattern(reduction, size, key, marked_element(mark, elements));
        const float found = load(marks.data() + mark * element_size(type), type);
        const float error = std::abs(found - expected);
        // Negated so that a NaN counts as wrong.
        result.wrong += !(error <= pattern_tolerance(type, reduction, expected, size)) ? 1 : 0;
    }
    return result;
}

}  // namespace traindyno
