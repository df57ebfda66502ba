// SPDX-License-Identifier: Apache-2.0
// Shrinking divides a model's shape evenly, and says which proportions survive.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/model/catalog.hpp"
#include "emulator/model/forward_flops.hpp"

namespace traindyno {
namespace {

std::string error_of(const Model& model, const ModelOverrides& overrides) {
    try {
        (void)apply(model, overrides);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

const Proportion& named(const std::vector<Proportion>& list, const std::string& start) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const Proportion& proportion) {
        return proportion.name.starts_with(start);
    });
    EXPECT_NE(found, list.end()) << start;
    return *found;
}

TEST(Overrides, leave_a_model_alone_when_there_are_none) {
    const Model model = load_model("gpt3-125m");
    EXPECT_EQ(apply(model, {}), model);
    EXPECT_EQ(apply(model, {.layers = 12, .seq = 2048}), model);
}

TEST(Shrink, divides_gpt3_125m_by_four) {
    const Model shrunk = apply(load_model("gpt3-125m"), {.shrink = 4});
    EXPECT_EQ(shrunk.layers, 3);
    EXPECT_EQ(shrunk.hidden, 192);
    EXPECT_EQ(shrunk.heads, 3);
    EXPECT_EQ(shrunk.kv_heads, 3);
    EXPECT_EQ(shrunk.head_size, 64);
    EXPECT_EQ(shrunk.ffn, 768);
    EXPECT_EQ(shrunk.seq, 512);
    EXPECT_EQ(shrunk.vocab, 12565);  // 50257 / 4 = 12564.25
    EXPECT_EQ(shrunk.nominal_parameters, 0);
    EXPECT_EQ(shrunk.name, "gpt3-125m-shrink4");
}

TEST(Shrink, keeps_at_least_one_key_value_head) {
    const Model llama = load_model("llama3-8b");
    EXPECT_EQ(apply(llama, {.shrink = 4}).kv_heads, 2);
    EXPECT_EQ(apply(llama, {.shrink = 16}).kv_heads, 1);
}

TEST(Shrink, rounds_key_value_heads_down_to_a_divisor_of_the_heads) {
    Model model = load_model("llama3-8b");
    model.heads = 20;
    model.kv_heads = 10;
    model.hidden = 20LL * 128;
    const Model shrunk = apply(model, {.shrink = 4});
    EXPECT_EQ(shrunk.heads, 5);
    EXPECT_EQ(shrunk.kv_heads, 1);  // 10 / 4 = 2.5; 2 does not divide 5
}

TEST(Shrink, names_what_does_not_divide_and_what_would) {
    const std::string error = error_of(load_model("gpt3-125m"), {.shrink = 8});
    EXPECT_TRUE(error.starts_with("--shrink 8: does not divide layers 12, heads 12")) << error;
    EXPECT_TRUE(error.ends_with("choose 2, 4")) << error;
}

TEST(Shrink, refuses_what_cannot_divide) {
    const Model model = load_model("gpt3-125m");
    EXPECT_NE(error_of(model, {.shrink = 0}).find("--shrink 0"), std::string::npos);
    EXPECT_NE(error_of(model, {.shrink = -4}).find("--shrink -4"), std::string::npos);
    EXPECT_NE(error_of(model, {.shrink = 1'000'000'007}).find("does not divide"),
              std::string::npos);
}

TEST(Shrink, need_not_divide_layers_that_are_given) {
    const Model model = load_model("deepseek-v3-like");  // 61 layers
    EXPECT_NE(error_of(model, {.shrink = 8}).find("does not divide layers 61"), std::string::npos);
    EXPECT_EQ(apply(model, {.shrink = 8, .layers = 4}).hidden, 896);
}

TEST(Shrink, narrows_experts_and_keeps_their_number) {
    const Model shrunk = apply(load_model("deepseek-v3-like"), {.shrink = 8, .layers = 4});
    EXPECT_EQ(shrunk.experts, 256);
    EXPECT_EQ(shrunk.top_k, 8);
    EXPECT_EQ(shrunk.shared_experts, 1);
    EXPECT_EQ(shrunk.expert_ffn, 256);
    EXPECT_EQ(shrunk.ffn, 2304);
    EXPECT_EQ(shrunk.dense_layers, 0);  // 3 / 8
}

TEST(Overrides, keep_a_layer_with_experts) {
    const Model model = load_model("deepseek-v3-like");
    EXPECT_EQ(apply(model, {.layers = 4}).dense_layers, 3);
    EXPECT_EQ(apply(model, {.layers = 3}).dense_layers, 2);
    EXPECT_EQ(apply(model, {.layers = 1}).dense_layers, 0);
}

TEST(Overrides, set_layers_and_seq_after_shrinking) {
    const Model model = apply(load_model("gpt3-175b"), {.shrink = 2, .layers = 5, .seq = 100});
    EXPECT_EQ(model.hidden, 6144);
    EXPECT_EQ(model.layers, 5);
    EXPECT_EQ(model.seq, 100);
    EXPECT_EQ(model.nominal_parameters, 0);
    EXPECT_EQ(model.name, "gpt3-175b-shrink2-layers5-seq100");
}

TEST(Overrides, report_every_value_out_of_range) {
    const std::string error = error_of(load_model("gpt3-125m"), {.layers = 0, .seq = -1});
    EXPECT_NE(error.find("--layers: 0 is not positive"), std::string::npos) << error;
    EXPECT_NE(error.find("--seq: -1 is not positive"), std::string::npos) << error;
}

TEST(Proportions, are_all_kept_by_an_unchanged_model) {
    const Model model = load_model("llama3-8b");
    for (const Proportion& proportion : proportions(model, model)) {
        EXPECT_TRUE(proportion.kept) << proportion.name;
        EXPECT_EQ(proportion.original, proportion.shrunk) << proportion.name;
    }
}

TEST(Proportions, tell_what_shrinking_keeps) {
    const Model model = load_model("gpt3-175b");
    const Model shrunk = apply(model, {.shrink = 4});
    const std::vector<Proportion> list = proportions(model, shrunk);
    for (const char* name : {"ffn / hidden", "head size", "heads / kv heads", "hidden / layers"}) {
        EXPECT_TRUE(named(list, name).kept) << name;
    }
    EXPECT_EQ(named(list, "ffn / hidden").shrunk, 4.0);
    EXPECT_EQ(named(list, "head size").original, 128.0);
}

TEST(Proportions, of_experts_are_told_beside_those_of_dense_models) {
    const Model model = load_model("qwen3-30b-a3b");
    const Model shrunk = apply(model, {.shrink = 4});
    const std::vector<Proportion> list = proportions(model, shrunk);
    EXPECT_TRUE(named(list, "expert ffn / hidden").kept);
    const Proportion& ep = named(list, "EP bytes per FLOP");
    EXPECT_FALSE(ep.kept);
    EXPECT_DOUBLE_EQ(ep.shrunk,
                     4 * 2 * 8 * 512 * 12 / (3 * forward_flops_per_token(shrunk).total().value()));
    const Model dense = load_model("gpt3-125m");
    EXPECT_EQ(proportions(dense, dense).size() + 3, list.size());
}

TEST(Proportions, tell_what_shrinking_changes) {
    const Model model = load_model("gpt3-175b");
    const Model shrunk = apply(model, {.shrink = 4});
    const std::vector<Proportion> list = proportions(model, shrunk);

    // Training FLOPs by Narayanan et al., SC'21, eq. 3, without its recompute factor.
    const auto flops_per_token = [](double l, double h, double s, double v) {
        return 72 * l * h * h * (1 + s / (6 * h) + v / (12 * l * h));
    };
    const double original = flops_per_token(96, 12288, 2048, 50257);
    const double smaller = flops_per_token(24, 3072, 512, 12565);

    const Proportion& tp = named(list, "TP bytes per FLOP");
    EXPECT_FALSE(tp.kept);
    EXPECT_DOUBLE_EQ(tp.original, 4 * 2 * 12288 * 96 / original);
    EXPECT_DOUBLE_EQ(tp.shrunk, 4 * 2 * 3072 * 24 / smaller);

    const Proportion& dp = named(list, "FLOP per gradient byte");
    EXPECT_FALSE(dp.kept);
    EXPECT_DOUBLE_EQ(dp.original, original * 2048 / (4.0 * static_cast<double>(parameters(model))));
    EXPECT_DOUBLE_EQ(dp.shrunk, smaller * 512 / (4.0 * static_cast<double>(parameters(shrunk))));
}

}  // namespace
}  // namespace traindyno
