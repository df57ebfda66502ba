// SPDX-License-Identifier: Apache-2.0
// The reference against closed forms; the numbers that operands are filled with. No GPU is needed.
#include "tests/gpu/gemm/reference.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "emulator/device/cuda/gemm/normal_numbers.hpp"

namespace traindyno::test {
namespace {

TEST(Reference, slope_is_the_derivative_of_gelu) {
    constexpr double step = 1e-6;
    for (double x = -5; x <= 5; x += 0.37) {
        EXPECT_NEAR(gelu_slope(x), (gelu(x + step) - gelu(x - step)) / (2 * step), 1e-8) << x;
    }
}

TEST(Reference, forms_of_gelu_differ_where_the_form_test_looks) {
    EXPECT_NEAR(gelu(1), 0.841192, 1e-6);
    EXPECT_NEAR(gelu_of_erf(1), 0.841345, 1e-6);
    EXPECT_GT(std::abs(gelu(-3) - gelu_of_erf(-3)), 3e-4);
}

/// A[2,3] B[3,2] of small numbers, worked out by hand.
TEST(Reference, multiplies_each_layout_and_applies_each_epilogue) {
    const GemmKey plain{.m = 2,
                        .n = 2,
                        .k = 3,
                        .type_a = GemmType::fp32,
                        .type_b = GemmType::fp32,
                        .type_c = GemmType::fp32};
    const HostOperands in{.a = {1, 2, 3, 4, 5, 6},
                          .b = {1, 0, 0, 1, 1, 1},
                          .c = {10, 20, 30, 40},
                          .vector = {100, 200},
                          .aux = {0, 0, 0, 0}};
    using Values = std::vector<double>;
    EXPECT_EQ(expected_outputs(plain, in).c.values, (Values{4, 5, 10, 11}));
    GemmKey key = plain;
    key.transpose_a = Transpose::yes;  // A = [1 3 5; 2 4 6]
    EXPECT_EQ(expected_outputs(key, in).c.values, (Values{6, 8, 8, 10}));
    key = plain;
    key.transpose_b = Transpose::yes;  // B = [1 1; 0 1; 0 1]
    EXPECT_EQ(expected_outputs(key, in).c.values, (Values{1, 6, 4, 15}));
    key = plain;
    key.accumulate = Accumulate::yes;
    EXPECT_EQ(expected_outputs(key, in).c.values, (Values{14, 25, 40, 51}));
    key = plain;
    key.epilogue = Epilogue::bias;
    EXPECT_EQ(expected_outputs(key, in).c.values, (Values{104, 205, 110, 211}));
    key.epilogue = Epilogue::gelu_aux_bias;
    EXPECT_EQ(expected_outputs(key, in).aux.values, (Values{104, 205, 110, 211}));
    key.epilogue = Epilogue::dgelu_bgrad;  // the slope at 0 is 1/2
    EXPECT_EQ(expected_outputs(key, in).c.values, (Values{2, 2.5, 5, 5.5}));
    EXPECT_EQ(expected_outputs(key, in).vector.values, (Values{7, 8}));
    key.epilogue = Epilogue::bgrad_a;
    EXPECT_EQ(expected_outputs(key, in).vector.values, (Values{6, 15}));
}

TEST(NormalNumbers, are_read_back_in_every_type) {
    for (const GemmType type :
         {GemmType::fp32, GemmType::bf16, GemmType::fp16, GemmType::e4m3, GemmType::e5m2}) {
        const auto size = static_cast<std::size_t>(element_size(type));
        const std::vector<std::byte> numbers = normal_numbers(type, 2, 1'000'000);
        ASSERT_EQ(numbers.size(), 262'139 * size);
        double sum = 0;
        double squares = 0;
        for (std::size_t at = 0; at < numbers.size(); at += size) {
            const double value = load(type, &numbers[at]);
            sum += value;
            squares += value * value;
        }
        const auto count = static_cast<double>(numbers.size() / size);
        EXPECT_NEAR(sum / count, 0, 0.02) << to_string(type);
        EXPECT_NEAR(std::sqrt(squares / count), 2, 0.03) << to_string(type);
        EXPECT_EQ(normal_numbers(type, 2, 5).size(), 5 * size);
    }
}

TEST(NormalNumbers, keep_small_integers_and_saturate_fp8) {
    std::byte out[4];
    for (const GemmType type :
         {GemmType::fp32, GemmType::bf16, GemmType::fp16, GemmType::e4m3, GemmType::e5m2}) {
        for (const float value : {0.0F, 1.0F, -3.0F, 0.5F}) {
            store(type, value, out);
            EXPECT_EQ(load(type, out), static_cast<double>(value)) << to_string(type);
        }
    }
    store(GemmType::e4m3, 1e6F, out);
    EXPECT_EQ(load(GemmType::e4m3, out), 448);
    store(GemmType::e5m2, -1e6F, out);
    EXPECT_EQ(load(GemmType::e5m2, out), -57344);
}

}  // namespace
}  // namespace traindyno::test
