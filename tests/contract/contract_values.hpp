// SPDX-License-Identifier: Apache-2.0
// What the communicator contract runs through: sizes, element types, urgencies.
#pragma once

#include <array>
#include <cstdint>

#include "collectives/communicator.hpp"
#include "collectives/half_types.hpp"

namespace traindyno::test {

inline constexpr std::array<std::int64_t, 5> element_counts{0, 1, 17, 4096, 300'001};
/// Of one part, where a buffer has as many as there are members.
inline constexpr std::array<std::int64_t, 5> part_counts{0, 1, 17, 4096, 30'001};

template <class T>
struct TypeOf;

template <>
struct TypeOf<float> {
    static constexpr DType type = DType::fp32;
};

template <>
struct TypeOf<double> {
    static constexpr DType type = DType::fp64;
};

template <>
struct TypeOf<Bf16> {
    static constexpr DType type = DType::bf16;
};

template <>
struct TypeOf<Fp16> {
    static constexpr DType type = DType::fp16;
};

template <>
struct TypeOf<std::int32_t> {
    static constexpr DType type = DType::int32;
};

template <>
struct TypeOf<std::int64_t> {
    static constexpr DType type = DType::int64;
};

/// Calls `check(T{})` for the C++ type of every element type.
template <class Check>
void for_each_type(Check&& check) {
    check(float{});
    check(double{});
    check(Bf16{});
    check(Fp16{});
    check(std::int32_t{});
    check(std::int64_t{});
}

inline constexpr std::array<Urgency, 2> urgencies{Urgency::immediate, Urgency::background};

/// 1 + 2 + ... + n: what a sum of values scaled by rank + 1 comes to.
[[nodiscard]] inline std::int64_t triangle(std::int64_t n) {
    return n * (n + 1) / 2;
}

}  // namespace traindyno::test
