// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_types.hpp"

#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

class Fp8Values : public testing::TestWithParam<Fp8Format> {
  protected:
    [[nodiscard]] static Fp8Format format() { return GetParam(); }

    [[nodiscard]] static Fp8Traits traits() { return traits_of(GetParam()); }

    [[nodiscard]] static float decoded(unsigned code) {
        return to_float(static_cast<Fp8>(code), GetParam());
    }

    [[nodiscard]] static unsigned encoded(float value) {
        return static_cast<unsigned>(to_fp8(value, GetParam()));
    }
};

TEST_P(Fp8Values, have_the_value_of_their_fields) {
    const int mantissa_bits = traits().mantissa_bits;
    for (unsigned code = 0; code < 256; ++code) {
        const int exponent = static_cast<int>((code & 0x7fU) >> mantissa_bits);
        const auto mantissa = static_cast<float>(code & ((1U << mantissa_bits) - 1));
        if ((code & 0x7fU) > traits().largest_code) {
            continue;
        }
        const float fraction = std::ldexp(mantissa, -mantissa_bits);
        const int bias = traits().exponent_bias;
        const float magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias)
                                              : std::ldexp(1 + fraction, exponent - bias);
        EXPECT_EQ(decoded(code), code < 0x80U ? magnitude : -magnitude) << code;
    }
}

TEST_P(Fp8Values, come_back_from_float) {
    for (unsigned code = 0; code < 256; ++code) {
        if (std::isnan(decoded(code))) {
            EXPECT_EQ(encoded(decoded(code)), 0x7fU);
        } else if (!std::isinf(decoded(code))) {
            EXPECT_EQ(encoded(decoded(code)), code);
        }
    }
    EXPECT_EQ(encoded(-0.0F), 0x80U);
}

TEST_P(Fp8Values, are_the_nearest_and_of_two_the_even_one) {
    for (unsigned code = 0; code < traits().largest_code; ++code) {
        const float between = (decoded(code) + decoded(code + 1)) / 2;
        const unsigned even = code % 2 == 0 ? code : code + 1;
        EXPECT_EQ(encoded(between), even) << code;
        EXPECT_EQ(encoded(std::nextafter(between, 0.0F)), code);
        EXPECT_EQ(encoded(std::nextafter(between, infinity)), code + 1);
        EXPECT_EQ(encoded(-between), 0x80U + even);
    }
}

TEST_P(Fp8Values, saturate) {
    const Fp8Traits t = traits();
    EXPECT_EQ(decoded(t.largest_code), t.largest);
    for (const float beyond :
         {std::nextafter(t.largest, infinity), 2 * t.largest, 1e30F, infinity}) {
        EXPECT_EQ(encoded(beyond), t.largest_code);
        EXPECT_EQ(encoded(-beyond), 0x80U + t.largest_code);
    }
}

TEST_P(Fp8Values, underflow_to_zero) {
    const float smallest = traits().smallest;
    EXPECT_EQ(decoded(1), smallest);
    EXPECT_EQ(encoded(smallest / 2), 0U) << "a tie, and 0 is even";
    EXPECT_EQ(encoded(std::numeric_limits<float>::denorm_min()), 0U);
    EXPECT_EQ(encoded(-std::numeric_limits<float>::denorm_min()), 0x80U);
}

TEST_P(Fp8Values, keep_nan) {
    EXPECT_EQ(encoded(not_a_number), 0x7fU);
    EXPECT_EQ(encoded(-not_a_number), 0x7fU);
    EXPECT_TRUE(std::isnan(decoded(0x7f)));
    EXPECT_TRUE(std::isnan(decoded(0xff)));
}

INSTANTIATE_TEST_SUITE_P(Formats,
                         Fp8Values,
                         testing::Values(Fp8Format::e4m3, Fp8Format::e5m2),
                         [](const auto& format) { return std::string(to_string(format.param)); });

// Table 1 of arXiv:2209.05433.
TEST(Fp8, has_the_published_range) {
    const Fp8Traits e4m3 = traits_of(Fp8Format::e4m3);
    EXPECT_EQ(e4m3.largest, 1.75F * 256);
    EXPECT_EQ(e4m3.smallest_normal, 1.0F / 64);
    EXPECT_EQ(e4m3.smallest, 1.0F / 512);
    const Fp8Traits e5m2 = traits_of(Fp8Format::e5m2);
    EXPECT_EQ(e5m2.largest, 1.75F * 32768);
    EXPECT_EQ(e5m2.smallest_normal, 1.0F / 16384);
    EXPECT_EQ(e5m2.smallest, 1.0F / 65536);
    EXPECT_EQ(to_float(Fp8{0x7c}, Fp8Format::e5m2), infinity);
    EXPECT_EQ(to_float(Fp8{0xfc}, Fp8Format::e5m2), -infinity);
    EXPECT_EQ(to_float(Fp8{0x7c}, Fp8Format::e4m3), 384.0F);
    EXPECT_TRUE(std::isnan(to_float(Fp8{0x7d}, Fp8Format::e5m2)));
}

}  // namespace
}  // namespace traindyno
