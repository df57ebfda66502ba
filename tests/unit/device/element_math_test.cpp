// SPDX-License-Identifier: Apache-2.0
// Arithmetic shared by all devices, against tanh and exp in double precision and finite
// differences.
#include "emulator/device/element_math.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/unit/device/activation_formulas.hpp"

namespace traindyno {
namespace {

float sigmoid_at(float x) {
    return static_cast<float>(sigmoid_of(static_cast<double>(x)));
}

TEST(ElementMath, gelu_is_the_tanh_form_and_its_slope_the_derivative) {
    for (float x = -8; x < 8; x += 0.03F) {
        const float s = sigmoid_at(gelu_argument(x));
        const auto at = static_cast<double>(x);
        EXPECT_NEAR(x * s, gelu_of(at), 2e-6) << x;
        EXPECT_NEAR(gelu_slope(x, s), slope(gelu_of, at), 2e-6) << x;
    }
}

TEST(ElementMath, silu_slope_is_the_derivative) {
    for (float x = -8; x < 8; x += 0.03F) {
        EXPECT_NEAR(silu_slope(x, sigmoid_at(x)), slope(silu_of, static_cast<double>(x)), 2e-6)
            << x;
    }
}

TEST(ElementMath, clipping_leaves_norms_up_to_one) {
    EXPECT_EQ(clip_factor(0), 1.0F);
    EXPECT_EQ(clip_factor(1), 1.0F);
    EXPECT_EQ(clip_factor(16), 0.25F);
}

TEST(ElementMath, inverse_deviation_is_finite_for_a_constant_row) {
    EXPECT_NEAR(inverse_deviation(0), std::sqrt(1e5), 0.1);
    EXPECT_NEAR(inverse_deviation(4), 0.5, 1e-6);
}

TEST(ElementMath, adam_moves_by_the_rate_once_its_averages_have_settled) {
    AdamState state{.master = 0.5F};
    for (int i = 0; i < 1000; ++i) {
        state = adam_update(state, 3.0F);
    }
    EXPECT_NEAR(state.m, 3, 1e-4);
    EXPECT_NEAR(state.v, 9, 1e-3);
    const AdamState next = adam_update({.master = 0, .m = state.m, .v = state.v}, 3.0F);
    EXPECT_NEAR(next.master, -1e-7, 1e-11);
}

}  // namespace
}  // namespace traindyno
