// SPDX-License-Identifier: Apache-2.0
// FLOPs per token equal the equations of the papers over a grid of shapes.
#include "emulator/program/flops.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

Model gpt(std::int64_t layers,
          std::int64_t hidden,
          std::int64_t heads,
          std::int64_t seq,
          std::int64_t vocab) {
    return {.name = "gpt",
            .layers = layers,
            .hidden = hidden,
            .heads = heads,
            .kv_heads = heads,
            .head_size = hidden / heads,
            .ffn = 4 * hidden,
            .seq = seq,
            .vocab = vocab};
}

template <class Check>
void for_each_gpt_shape(const Check& check) {
    for (const std::int64_t layers : {1, 12, 96}) {
        for (const std::int64_t hidden : {64, 768, 12288}) {
            for (const std::int64_t seq : {1, 512, 2048, 131072}) {
                for (const std::int64_t vocab : {100, 50257}) {
                    check(gpt(layers, hidden, 8, seq, vocab));
                }
            }
        }
    }
}

struct Symbols {
    double l, h, s, V;

    explicit Symbols(const Model& model)
        : l(static_cast<double>(model.layers)),
          h(static_cast<double>(model.hidden)),
          s(static_cast<double>(model.seq)),
          V(static_cast<double>(model.vocab)) {}
};

TEST(ModelFlops, equal_equation_3_of_narayanan_without_recompute) {
    for_each_gpt_shape([](const Model& model) {
        const auto [l, h, s, V] = Symbols(model);
        const double expected = 72 * l * h * h * (1 + s / (6 * h) + V / (12 * l * h));
        EXPECT_NEAR(model_flops_per_token(model, CausalAttention::full).value(),
                    expected,
                    1e-12 * expected);
    });
}

TEST(HardwareFlops, with_full_recompute_equal_equation_3_of_narayanan) {
    for_each_gpt_shape([](const Model& model) {
        const auto [l, h, s, V] = Symbols(model);
        const double expected = 96 * l * h * h * (1 + s / (6 * h) + V / (16 * l * h));
        EXPECT_NEAR(hardware_flops_per_token(model, Recompute::full, CausalAttention::full).value(),
                    expected,
                    1e-12 * expected);
    });
}

TEST(HardwareFlops, with_selective_recompute_add_one_attention_forward) {
    // 4 s h more per layer and token, which is s/(18h) of 72 h^2.
    for_each_gpt_shape([](const Model& model) {
        const auto [l, h, s, V] = Symbols(model);
        const double expected =
            72 * l * h * h * (1 + s / (6 * h) + s / (18 * h) + V / (12 * l * h));
        EXPECT_NEAR(
            hardware_flops_per_token(model, Recompute::selective, CausalAttention::full).value(),
            expected,
            1e-12 * expected);
    });
}

TEST(HardwareFlops, without_recompute_are_the_model_flops) {
    for_each_gpt_shape([](const Model& model) {
        for (const CausalAttention attention : {CausalAttention::full, CausalAttention::half}) {
            EXPECT_EQ(hardware_flops_per_token(model, Recompute::none, attention),
                      model_flops_per_token(model, attention));
        }
    });
}

TEST(ModelFlops, with_causal_attention_lose_half_of_the_score_square) {
    for_each_gpt_shape([](const Model& model) {
        const auto [l, h, s, V] = Symbols(model);
        const double full = model_flops_per_token(model, CausalAttention::full).value();
        const double half = model_flops_per_token(model, CausalAttention::half).value();
        EXPECT_NEAR(full - half, 6 * s * h * l, 1e-9 * full);
    });
}

TEST(ModelFlops, of_grouped_gated_models_add_up_matrix_by_matrix) {
    for (const std::int64_t kv_heads : {1, 2, 8}) {
        for (const std::int64_t head_size : {16, 128}) {
            Model model = gpt(4, 512, 8, 256, 1000);
            model.kv_heads = kv_heads;
            model.head_size = head_size;
            model.ffn = 1408;
            model.gated_mlp = true;
            const auto width = static_cast<double>(8 * head_size);
            const auto kv = static_cast<double>(kv_heads * head_size);
            const double query = 2 * 512 * width;
            const double key_and_value = 2 * (2 * 512 * kv);
            const double projection = 2 * width * 512;
            const double mlp = 3 * (2.0 * 512 * 1408);
            const double attention = 12 * 256 * width;
            const double expected =
                4 * (3 * (query + key_and_value + projection + mlp) + attention) +
                3 * 2.0 * 512 * 1000;
            EXPECT_DOUBLE_EQ(model_flops_per_token(model, CausalAttention::full).value(), expected);
        }
    }
}

TEST(SixND, uses_the_size_in_the_models_name) {
    Model model = gpt(96, 12288, 96, 2048, 50257);
    model.nominal_parameters = 175e9;
    EXPECT_DOUBLE_EQ(six_n_d(model, 300e9).value(), 3.15e23);
}

TEST(SixND, counts_parameters_where_the_name_has_no_size) {
    const Model model = gpt(96, 12288, 96, 2048, 50257);
    EXPECT_DOUBLE_EQ(six_n_d(model, 300e9).value(),
                     6 * static_cast<double>(parameters(model)) * 300e9);
}

BlockOp compute(const MatMul& matmul, Phase phase) {
    return {.op = ComputeOp{matmul}, .lane = Lane::compute, .phase = phase, .after = {}};
}

TEST(ExecutedFlops, count_each_run_of_a_block_in_its_phase) {
    StepProgram program;
    const MatMul small{.m = 2, .n = 3, .k = 4, .a = {}, .b = {}, .c = {}};
    const MatMul large{.m = 10, .n = 10, .k = 10, .a = {}, .b = {}, .c = {}};
    program.blocks = {{.name = "layer",
                       .ops = {compute(small, Phase::forward),
                               compute(large, Phase::backward),
                               compute(small, Phase::forward)}},
                      {.name = "again",
                       .ops = {compute(large, Phase::recompute),
                               {.op = CommOp{Collective{}},
                                .lane = Lane::tp,
                                .phase = Phase::forward,
                                .after = {}}}}};
    program.tasks.resize(5);
    program.tasks[3].block = BlockId{1};
    program.tasks[4].block = BlockId{1};
    EXPECT_DOUBLE_EQ(executed_flops(program, Phase::forward).value(), 3 * 2 * (2 * 2 * 3 * 4));
    EXPECT_DOUBLE_EQ(executed_flops(program, Phase::backward).value(), 3 * 2 * 10 * 10 * 10);
    EXPECT_DOUBLE_EQ(executed_flops(program, Phase::recompute).value(), 2 * 2 * 10 * 10 * 10);
    EXPECT_DOUBLE_EQ(executed_flops(program, Phase::optimizer).value(), 0);
}

}  // namespace
}  // namespace traindyno
