// SPDX-License-Identifier: Apache-2.0
// 8-bit floating-point values as bit patterns (Micikevicius et al., arXiv:2209.05433, table 1).
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class Fp8Format : std::uint8_t {
    e4m3,  ///< 4 exponent bits, no infinity, one NaN pattern per sign: activations and weights
    e5m2,  ///< 5 exponent bits, as IEEE 754 has them: gradients
};

template <>
struct EnumNames<Fp8Format> {
    static constexpr auto names = enum_table<Fp8Format>("e4m3", "e5m2");
};

/// One value; which format it is in is known from its tensor.
enum class Fp8 : std::uint8_t {};

struct Fp8Traits {
    int mantissa_bits = 0;
    int exponent_bias = 0;
    std::uint8_t largest_code = 0;
    float largest = 0;  ///< finite
    float smallest_normal = 0;
    float smallest = 0;  ///< positive: the distance of subnormal values
};

[[nodiscard]] constexpr Fp8Traits traits_of(Fp8Format format) {
    if (format == Fp8Format::e4m3) {
        return {.mantissa_bits = 3,
                .exponent_bias = 7,
                .largest_code = 0x7e,
                .largest = 448.0F,
                .smallest_normal = 0x1p-6F,
                .smallest = 0x1p-9F};
    }
    return {.mantissa_bits = 2,
            .exponent_bias = 15,
            .largest_code = 0x7b,
            .largest = 57344.0F,
            .smallest_normal = 0x1p-14F,
            .smallest = 0x1p-16F};
}

[[nodiscard]] float to_float(Fp8 value, Fp8Format format);

/// Rounds to nearest, ties to even; beyond the largest finite value, infinity included, to that
/// value (cvt.rn.satfinite of PTX); every NaN to 0x7f.
[[nodiscard]] Fp8 to_fp8(float value, Fp8Format format);

}  // namespace traindyno
