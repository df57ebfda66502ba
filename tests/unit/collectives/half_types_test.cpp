// SPDX-License-Identifier: Apache-2.0
#include "collectives/half_types.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

TEST(Bf16, holds_every_integer_up_to_256) {
    for (int i = -256; i <= 256; ++i) {
        EXPECT_EQ(to_float(to_bf16(static_cast<float>(i))), static_cast<float>(i));
    }
}

TEST(Bf16, rounds_ties_to_the_even_mantissa) {
    EXPECT_EQ(to_float(to_bf16(257.0F)), 256.0F);  // between 256 and 258
    EXPECT_EQ(to_float(to_bf16(259.0F)), 260.0F);  // between 258 and 260
    EXPECT_EQ(to_float(to_bf16(std::nextafter(257.0F, 300.0F))), 258.0F);
    EXPECT_EQ(to_float(to_bf16(std::nextafter(259.0F, 0.0F))), 258.0F);
    EXPECT_EQ(to_float(to_bf16(-257.0F)), -256.0F);
}

TEST(Bf16, keeps_infinities_and_nan) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(to_float(to_bf16(infinity)), infinity);
    EXPECT_EQ(to_float(to_bf16(-infinity)), -infinity);
    EXPECT_EQ(to_float(to_bf16(std::numeric_limits<float>::max())), infinity);
    // Its payload is in the half that is cut off: rounding alone would make it infinite.
    EXPECT_TRUE(std::isnan(to_float(to_bf16(std::bit_cast<float>(0x7f800001U)))));
    EXPECT_TRUE(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Fp16, of_every_pattern_survives_the_way_through_fp32) {
    for (std::uint32_t pattern = 0; pattern <= 0xffffU; ++pattern) {
        const auto half = static_cast<Fp16>(pattern);
        if (std::isnan(to_float(half))) {
            EXPECT_EQ(pattern & 0x7c00U, 0x7c00U);
            EXPECT_TRUE(std::isnan(to_float(to_fp16(to_float(half)))));
        } else {
            EXPECT_EQ(to_fp16(to_float(half)), half) << pattern;
        }
    }
}

TEST(Fp16, values_are_those_of_binary16) {
    EXPECT_EQ(to_float(Fp16{0x3c00}), 1.0F);
    EXPECT_EQ(to_float(Fp16{0xc000}), -2.0F);
    EXPECT_EQ(to_float(Fp16{0x7bff}), 65504.0F);
    EXPECT_EQ(to_float(Fp16{0x0400}), std::ldexp(1.0F, -14));
    EXPECT_EQ(to_float(Fp16{0x0001}), std::ldexp(1.0F, -24));
    EXPECT_EQ(to_float(Fp16{0xfc00}), -std::numeric_limits<float>::infinity());
}

TEST(Fp16, rounds_to_nearest_ties_to_even) {
    EXPECT_EQ(to_float(to_fp16(2049.0F)), 2048.0F);  // between 2048 and 2050
    EXPECT_EQ(to_float(to_fp16(2051.0F)), 2052.0F);  // between 2050 and 2052
    EXPECT_EQ(to_float(to_fp16(std::nextafter(2049.0F, 3000.0F))), 2050.0F);
    const float smallest = std::ldexp(1.0F, -24);
    EXPECT_EQ(to_float(to_fp16(smallest / 2)), 0.0F);
    EXPECT_EQ(to_float(to_fp16(smallest * 1.5F)), smallest * 2);
    EXPECT_EQ(to_float(to_fp16(-smallest * 0.75F)), -smallest);
    EXPECT_EQ(to_fp16(-0.0F), Fp16{0x8000});
}

TEST(Fp16, overflows_to_infinity_from_halfway_to_the_next_value) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    EXPECT_EQ(to_float(to_fp16(std::nextafter(65520.0F, 0.0F))), 65504.0F);
    EXPECT_EQ(to_float(to_fp16(65520.0F)), infinity);
    EXPECT_EQ(to_float(to_fp16(-1e30F)), -infinity);
    EXPECT_TRUE(std::isnan(to_float(to_fp16(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace

}  // namespace traindyno
