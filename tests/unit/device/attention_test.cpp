// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/attention.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "tests/support/textbook_attention.hpp"

namespace traindyno {
namespace {

Operand view(std::vector<float>& data) {
    return {.data = reinterpret_cast<std::byte*>(data.data()),
            .elements = static_cast<std::int64_t>(data.size()),
            .dtype = DType::fp32};
}

void expect_near(const std::vector<float>& actual,
                 const std::vector<double>& expected,
                 double tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(actual[i]) - expected[i]));
    }
    EXPECT_LT(worst, tolerance);
}

class AttentionShapes : public testing::TestWithParam<AttentionShape> {};

TEST_P(AttentionShapes, forward_and_backward_match_the_textbook) {
    const AttentionShape shape = GetParam();
    const Team team(allowed_cores(), 2);
    const auto tokens = shape.batch * shape.seq;
    std::vector<float> qkv(static_cast<std::size_t>(tokens * shape.qkv_width()));
    std::vector<float> context(static_cast<std::size_t>(tokens * shape.context_width()));
    std::vector<float> statistics(static_cast<std::size_t>(tokens * shape.heads));
    std::vector<float> grad_context(context.size());
    std::vector<float> grad_qkv(qkv.size(), 123.0F);  // overwritten, not added to
    fill_random(team, view(qkv), 1.0F, 1);
    fill_random(team, view(grad_context), 1.0F, 2);

    Attention attention(shape, DType::fp32, team);
    const AttentionOperands operands{.qkv = view(qkv),
                                     .context = view(context),
                                     .statistics = view(statistics),
                                     .grad_context = view(grad_context),
                                     .grad_qkv = view(grad_qkv)};
    attention.forward(operands);
    attention.backward(operands);

    TextbookAttention reference(shape, qkv);
    reference.run(grad_context);
    expect_near(context, reference.context, 1e-5);
    expect_near(statistics, reference.statistics, 1e-5);
    expect_near(grad_qkv, reference.grad_qkv, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    AttentionShapes,
    testing::Values(
        AttentionShape{.batch = 1, .seq = 1, .heads = 1, .kv_heads = 1, .head_size = 8},
        AttentionShape{.batch = 2, .seq = 128, .heads = 3, .kv_heads = 3, .head_size = 64},
        AttentionShape{.batch = 1, .seq = 200, .heads = 4, .kv_heads = 2, .head_size = 32},
        AttentionShape{.batch = 2, .seq = 129, .heads = 6, .kv_heads = 1, .head_size = 16},
        AttentionShape{.batch = 1, .seq = 700, .heads = 2, .kv_heads = 1, .head_size = 24}),
    [](const auto& param) {
        const AttentionShape& s = param.param;
        return "b" + std::to_string(s.batch) + "_s" + std::to_string(s.seq) + "_a" +
               std::to_string(s.heads) + "_kv" + std::to_string(s.kv_heads);
    });

/// The log-sum-exp of 200 scores is about 5.3: bf16 would keep it to within 0.016.
TEST(Attention, keeps_statistics_in_fp32_beside_bf16_operands) {
    const AttentionShape shape{.batch = 1, .seq = 200, .heads = 2, .kv_heads = 1, .head_size = 16};
    const Team team(allowed_cores(), 1);
    std::vector<std::uint16_t> qkv(static_cast<std::size_t>(200 * shape.qkv_width()));
    std::vector<std::uint16_t> context(static_cast<std::size_t>(200 * shape.context_width()));
    std::vector<float> statistics(400);
    const auto bf16 = [](std::vector<std::uint16_t>& data) {
        return Operand{.data = reinterpret_cast<std::byte*>(data.data()),
                       .elements = static_cast<std::int64_t>(data.size()),
                       .dtype = DType::bf16};
    };
    fill_random(team, bf16(qkv), 1.0F, 1);
    Attention attention(shape, DType::bf16, team);
    attention.forward({.qkv = bf16(qkv), .context = bf16(context), .statistics = view(statistics)});

    std::vector<float> widened;
    for (const std::uint16_t bits : qkv) {
        widened.push_back(load(Bf16{bits}));
    }
    TextbookAttention reference(shape, widened);
    reference.run(std::vector<float>(context.size()));
    expect_near(statistics, reference.statistics, 1e-4);
}

TEST(Attention, stays_finite_when_scores_are_huge) {
    const AttentionShape shape{.batch = 1, .seq = 140, .heads = 1, .kv_heads = 1, .head_size = 16};
    const Team team(allowed_cores(), 1);
    std::vector<float> qkv(static_cast<std::size_t>(140 * shape.qkv_width()));
    std::vector<float> context(static_cast<std::size_t>(140 * 16));
    std::vector<float> statistics(140);
    fill_random(team, view(qkv), 100.0F, 1);
    Attention attention(shape, DType::fp32, team);
    attention.forward({.qkv = view(qkv), .context = view(context), .statistics = view(statistics)});
    for (const float value : context) {
        ASSERT_TRUE(std::isfinite(value));
    }
}

}  // namespace
}  // namespace traindyno
