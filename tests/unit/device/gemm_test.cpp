// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/gemm.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/cpu_device.hpp"

namespace traindyno {
namespace {

using Case = std::tuple<Transpose, Transpose, Accumulate>;

class GemmCases : public testing::TestWithParam<Case> {};

TEST_P(GemmCases, multiplies_small_integers_exactly) {
    const auto [ta, tb, accumulate] = GetParam();
    const MatMul op{.m = 13,
                    .n = 17,
                    .k = 29,
                    .transpose_a = ta,
                    .transpose_b = tb,
                    .accumulate = accumulate,
                    .a = {},
                    .b = {},
                    .c = {}};
    const auto value = [](std::int64_t i, std::int64_t j) {
        return static_cast<float>((i * 7 + j * 3) % 11 - 5);
    };
    std::vector<float> a(13 * 29);
    std::vector<float> b(29 * 17);
    std::vector<float> c(13 * 17, 2.0F);
    for (std::int64_t i = 0; i < 13; ++i) {
        for (std::int64_t k = 0; k < 29; ++k) {
            a[static_cast<std::size_t>(ta == Transpose::yes ? k * 13 + i : i * 29 + k)] =
                value(i, k);
        }
    }
    for (std::int64_t k = 0; k < 29; ++k) {
        for (std::int64_t j = 0; j < 17; ++j) {
            b[static_cast<std::size_t>(tb == Transpose::yes ? j * 29 + k : k * 17 + j)] =
                value(k, j);
        }
    }
    Gemm{shape_of(op, DType::fp32)}.run(a.data(), b.data(), c.data());
    for (std::int64_t i = 0; i < 13; ++i) {
        for (std::int64_t j = 0; j < 17; ++j) {
            float expected = accumulate == Accumulate::yes ? 2.0F : 0.0F;
            for (std::int64_t k = 0; k < 29; ++k) {
                expected += value(i, k) * value(k, j);
            }
            EXPECT_EQ(c[static_cast<std::size_t>(i * 17 + j)], expected);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Layouts,
                         GemmCases,
                         testing::Combine(testing::Values(Transpose::no, Transpose::yes),
                                          testing::Values(Transpose::no, Transpose::yes),
                                          testing::Values(Accumulate::no, Accumulate::yes)));

TEST(GemmShape, takes_types_from_the_spaces_of_the_operands) {
    const MatMul wgrad{.m = 2,
                       .n = 3,
                       .k = 4,
                       .transpose_a = Transpose::yes,
                       .a = {.space = Space::saved},
                       .b = {.space = Space::workspace},
                       .c = {.space = Space::gradient}};
    const GemmShape shape = shape_of(wgrad, DType::bf16);
    EXPECT_EQ(shape.type_a, DType::bf16);
    EXPECT_EQ(shape.type_b, DType::bf16);
    EXPECT_EQ(shape.type_c, DType::fp32);
    EXPECT_EQ(shape.stride_a, 2);
    EXPECT_EQ(shape.stride_b, 3);
    EXPECT_EQ(shape.stride_c, 3);
}

TEST(Gemm, reports_what_onednn_refuses) {
    GemmShape shape{.m = 2, .n = 2, .k = 2, .stride_a = 2, .stride_b = 2, .stride_c = 2};
    shape.m = -2;
    EXPECT_THROW(Gemm{shape}, LibraryError);
}

TEST(CpuDevice, computes_bf16_or_says_what_to_use) {
    const CpuOptions options{.cores = {0}, .threads = 1, .precision = Precision::bf16};
    if (has_bf16()) {
        EXPECT_EQ(make_cpu_device(options)->info().precision, Precision::bf16);
        return;
    }
    try {
        (void)make_cpu_device(options);
        FAIL() << "no bf16 in hardware, yet accepted";
    } catch (const ConfigError& error) {
        EXPECT_NE(std::string(error.what()).find("--precision fp32"), std::string::npos);
    }
}

TEST(CpuDevice, reports_every_problem_of_its_options) {
    try {
        (void)make_cpu_device({.cores = {}, .threads = 0, .precision = Precision::fp8});
        FAIL() << "accepted";
    } catch (const ConfigError& error) {
        EXPECT_EQ(error.problems().size(), 2U);
    }
}

TEST(CpuDevice, names_what_it_has_instead_of_other_precisions) {
    for (const Precision precision : {Precision::tf32, Precision::fp16, Precision::fp8}) {
        try {
            (void)make_cpu_device({.cores = {0}, .threads = 1, .precision = precision});
            ADD_FAILURE() << to_string(precision) << " was accepted";
        } catch (const ConfigError& error) {
            const std::string text = error.what();
            EXPECT_NE(text.find("--precision " + std::string(to_string(precision)) + ":"),
                      std::string::npos)
                << text;
            EXPECT_NE(text.find("it has fp32 and"), std::string::npos) << text;
            EXPECT_NE(text.find("use --precision fp32, or --device timed"), std::string::npos)
                << text;
        }
    }
}

}  // namespace
}  // namespace traindyno
