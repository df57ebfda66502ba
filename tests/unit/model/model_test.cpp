// SPDX-License-Identifier: Apache-2.0
// Parameter counts equal hand-written closed forms; impossible shapes are named.
#include "emulator/model/model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "emulator/model/catalog.hpp"
#include "emulator/model/forward_flops.hpp"

namespace traindyno {
namespace {

Model small_gpt() {
    return {.name = "small",
            .layers = 3,
            .hidden = 64,
            .heads = 4,
            .kv_heads = 4,
            .head_size = 16,
            .ffn = 256,
            .seq = 32,
            .vocab = 100};
}

Model small_llama() {
    Model model = small_gpt();
    model.kv_heads = 2;
    model.ffn = 96;
    model.gated_mlp = true;
    model.tied_embeddings = false;
    model.norm = Norm::rmsnorm;
    model.positions = Positions::rotary;
    model.bias = LinearBias::none;
    return model;
}

bool names_key(const Model& model, const std::string& key) {
    const std::vector<std::string> problems = problems_of(model);
    return std::any_of(problems.begin(), problems.end(), [&](const std::string& problem) {
        return problem.starts_with(key + ": ");
    });
}

TEST(Parameters, of_a_gpt_layer_are_12_h_h_plus_13_h) {
    const Model model = small_gpt();
    EXPECT_EQ(layer_parameters(model), 12 * 64 * 64 + 13 * 64);
    EXPECT_EQ(parameters(model), 3 * (12 * 64 * 64 + 13 * 64) + 100 * 64 + 32 * 64 + 2 * 64);
}

TEST(Parameters, of_a_llama_layer_count_grouped_keys_and_three_mlp_matrices) {
    const Model model = small_llama();
    const std::int64_t attention = 64 * 64 + 2 * 64 * 32 + 64 * 64;
    const std::int64_t mlp = 3LL * 64 * 96;
    EXPECT_EQ(layer_parameters(model), attention + mlp + 2LL * 64);
    EXPECT_EQ(parameters(model), 3 * (attention + mlp + 2LL * 64) + 2LL * 100 * 64 + 64);
}

TEST(Parameters, with_qkv_bias_only_add_the_three_projections_outputs) {
    const Model without = small_llama();
    Model with = without;
    with.bias = LinearBias::qkv;
    EXPECT_EQ(layer_parameters(with) - layer_parameters(without), 64 + 32 + 32);
}

TEST(Parameters, follow_a_head_size_apart_from_hidden) {
    Model model = small_llama();
    model.head_size = 32;  // queries are 128 wide, keys and values 64
    const std::int64_t attention = 64 * 128 + 2 * 64 * 64 + 128 * 64;
    EXPECT_EQ(layer_parameters(model), attention + 3LL * 64 * 96 + 2LL * 64);
}

TEST(Parameters, of_gpt3_175b_are_174_6_billion) {
    const std::int64_t h = 12288;
    const std::int64_t expected = 96 * (12 * h * h + 13 * h) + 50257 * h + 2048 * h + 2 * h;
    EXPECT_EQ(parameters(load_model("gpt3-175b")), expected);
    EXPECT_NEAR(static_cast<double>(expected) / 1e9, 174.6, 0.05);
}

TEST(Parameters, of_the_gpt3_family_are_those_of_table_d1) {
    struct Row {
        const char* name;
        double millions;  ///< arXiv:2005.14165, Table D.1
    };

    constexpr std::array rows{Row{"gpt3-125m", 125},
                              Row{"gpt3-350m", 356},
                              Row{"gpt3-760m", 760},
                              Row{"gpt3-1.3b", 1320},
                              Row{"gpt3-2.7b", 2650},
                              Row{"gpt3-6.7b", 6660},
                              Row{"gpt3-13b", 12850},
                              Row{"gpt3-175b", 174600}};
    for (const Row& row : rows) {
        const double count = static_cast<double>(parameters(load_model(row.name)));
        EXPECT_NEAR(count / 1e6, row.millions, 0.005 * row.millions) << row.name;
    }
}

TEST(Parameters, of_llama3_8b_are_8_03_billion) {
    const std::int64_t layer =
        2 * 4096 * 4096 + 2 * 4096 * 1024 + 3LL * 4096 * std::int64_t{14336} + 2LL * 4096;
    const std::int64_t expected = 32 * layer + 2LL * 4096 * std::int64_t{128256} + 4096;
    EXPECT_EQ(parameters(load_model("llama3-8b")), expected);
    EXPECT_NEAR(static_cast<double>(expected) / 1e9, 8.03, 0.005);
}

Model small_mixture() {
    Model model = small_llama();
    model.experts = 8;
    model.top_k = 2;
    model.expert_ffn = 48;
    model.shared_experts = 1;
    model.dense_layers = 1;
    return model;
}

TEST(Parameters, of_a_layer_with_experts_count_router_experts_and_shared_ones) {
    const Model model = small_mixture();
    const std::int64_t attention = 64 * 64 + 2 * 64 * 32 + 64 * 64;
    const std::int64_t expert = 3LL * 64 * 48;
    EXPECT_EQ(expert_parameters(model), expert);
    EXPECT_EQ(layer_parameters(model, LayerKind::experts),
              attention + 64 * 8 + (8 + 1) * expert + 2LL * 64);
    EXPECT_EQ(layer_parameters(model, LayerKind::dense), layer_parameters(small_llama()));
    const std::int64_t without_layers = 2LL * 100 * 64 + 64;
    EXPECT_EQ(
        parameters(model),
        layer_parameters(model) + 2 * layer_parameters(model, LayerKind::experts) + without_layers);
    EXPECT_EQ(parameters(model) - active_parameters(model), 2 * (8 - 2) * expert);
    EXPECT_EQ(active_parameters(small_llama()), parameters(small_llama()));
}

/// Total and activated parameters as their authors round them.
TEST(Parameters, of_published_models_are_the_published_counts) {
    struct Count {
        double billions;
        double tolerance;  ///< what the last published digit leaves open, and what is left out
    };

    struct Row {
        const char* name;
        Count total;
        Count active;
    };

    constexpr std::array rows{
        // model card of the weights: 70.6 B
        Row{"llama3-70b", {70.6, 0.1}, {70.6, 0.1}},
        // model card of the weights: 406 B
        Row{"llama3-405b", {406, 0.5}, {406, 0.5}},
        // mistral.ai/news/mixtral-of-experts: 46.7 B, of which 12.9 B per token
        Row{"mixtral-8x7b", {46.7, 0.05}, {12.9, 0.05}},
        // model card: 7.61 B
        Row{"qwen2.5-7b", {7.61, 0.01}, {7.61, 0.01}},
        // model card: 30.5 B, of which 3.3 B activated
        Row{"qwen3-30b-a3b", {30.5, 0.05}, {3.3, 0.06}},
        // arXiv:2412.19437: 671 B, of which 37 B activated; attention differs by 0.2 B
        Row{"deepseek-v3-like", {671, 0.7}, {37, 0.9}}};
    for (const Row& row : rows) {
        const Model model = load_model(row.name);
        EXPECT_NEAR(
            static_cast<double>(parameters(model)) / 1e9, row.total.billions, row.total.tolerance)
            << row.name;
        EXPECT_NEAR(static_cast<double>(active_parameters(model)) / 1e9,
                    row.active.billions,
                    row.active.tolerance)
            << row.name;
    }
}

TEST(ModelProblems, name_what_experts_cannot_be) {
    EXPECT_TRUE(problems_of(small_mixture()).empty());
    const auto names = [](const char* key, const auto& change) {
        Model model = small_mixture();
        change(model);
        EXPECT_TRUE(names_key(model, key)) << key;
    };
    names("experts", [](Model& m) { m.experts = -1; });
    names("top_k", [](Model& m) { m.top_k = 0; });
    names("top_k", [](Model& m) { m.top_k = 9; });
    names("expert_ffn", [](Model& m) { m.expert_ffn = 0; });
    names("shared_experts", [](Model& m) { m.shared_experts = -1; });
    names("dense_layers", [](Model& m) { m.dense_layers = 3; });
    names("bias", [](Model& m) { m.bias = LinearBias::all; });
    names("top_k", [](Model& m) { m.experts = 0; });
    names("dense_layers", [](Model& m) { m.experts = 0; });
    names("layers", [](Model& m) {
        m.experts = 1 << 16;
        m.expert_ffn = 1 << 24;
        m.layers = 100'000;
    });
}

TEST(ModelProblems, are_none_for_every_shipped_model) {
    for (const std::string& name : model_names()) {
        EXPECT_TRUE(problems_of(load_model(name)).empty()) << name;
    }
}

TEST(ModelProblems, name_every_dimension_that_is_not_positive) {
    const std::vector<std::string> problems = problems_of(Model{});
    EXPECT_EQ(problems.size(), 9U);  // eight dimensions and the name
    for (const char* key :
         {"layers", "hidden", "heads", "kv_heads", "head_size", "ffn", "seq", "vocab", "name"}) {
        EXPECT_TRUE(names_key(Model{}, key)) << key;
    }
}

TEST(ModelProblems, name_what_is_too_large_to_count) {
    for (auto member : {&Model::layers,
                        &Model::hidden,
                        &Model::heads,
                        &Model::kv_heads,
                        &Model::head_size,
                        &Model::ffn,
                        &Model::seq,
                        &Model::vocab}) {
        Model model = small_gpt();
        model.*member = std::numeric_limits<std::int64_t>::max();
        EXPECT_EQ(problems_of(model).size(), 1U);
    }
    Model model = small_gpt();
    model.layers = 100'000;
    model.hidden = model.ffn = 1 << 22;
    EXPECT_TRUE(names_key(model, "layers"));
    model = small_gpt();
    model.heads = model.kv_heads = model.head_size = 1 << 16;
    EXPECT_TRUE(names_key(model, "heads"));
}

TEST(ModelProblems, name_heads_that_cannot_share_keys) {
    Model model = small_llama();
    model.kv_heads = 3;
    EXPECT_TRUE(names_key(model, "kv_heads"));
    model.kv_heads = 8;
    EXPECT_TRUE(names_key(model, "kv_heads"));
}

TEST(ModelProblems, name_odd_heads_under_rotary_positions) {
    Model model = small_llama();
    model.head_size = 15;
    EXPECT_TRUE(names_key(model, "head_size"));
    model.positions = Positions::learned;
    EXPECT_FALSE(names_key(model, "head_size"));
}

TEST(ModelProblems, name_a_nominal_size_that_is_no_count) {
    for (const double count : {-1.0, std::nan(""), std::numeric_limits<double>::infinity(), 1e18}) {
        Model model = small_gpt();
        model.nominal_parameters = count;
        EXPECT_TRUE(names_key(model, "nominal_parameters")) << count;
    }
}

TEST(ForwardFlops, are_two_per_weight_and_four_s_h_of_attention) {
    const ForwardFlops forward = forward_flops_per_token(small_gpt());
    EXPECT_DOUBLE_EQ(forward.linear.value(), 3.0 * 24 * 64 * 64);
    EXPECT_DOUBLE_EQ(forward.attention.value(), 3.0 * 4 * 32 * 64);
    EXPECT_DOUBLE_EQ(forward.logits.value(), 2.0 * 64 * 100);
    EXPECT_DOUBLE_EQ(forward.total().value(), (forward.layers() + forward.logits).value());
}

TEST(ForwardFlops, follow_grouped_keys_and_gates) {
    const ForwardFlops forward = forward_flops_per_token(small_llama());
    EXPECT_DOUBLE_EQ(forward.linear.value(),
                     3.0 * 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 96));
    EXPECT_DOUBLE_EQ(forward.attention.value(), 3.0 * 4 * 32 * 64);
}

TEST(ForwardFlops, count_of_the_experts_those_that_a_token_visits) {
    const double attention = 64 * 64 + 2 * 64 * 32 + 64 * 64;
    const double expert = 3 * 64 * 48;
    EXPECT_DOUBLE_EQ(forward_flops_per_token(small_mixture()).linear.value(),
                     2 * (3 * attention + 3 * 64 * 96 + 2 * (64 * 8 + (2 + 1) * expert)));
}

}  // namespace
}  // namespace traindyno
