// SPDX-License-Identifier: Apache-2.0
// Hugging Face config.json files of the supported families become the shapes they describe.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/model/catalog.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

Model loaded(const std::string& json) {
    const ScratchFolder scratch;
    return load_model(scratch.write("my-model/config.json", json));
}

std::string reading_error(const std::string& json) {
    try {
        (void)loaded(json);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

// The values below are those of the published GPT-2, Pythia-70m, Llama-2-7b, Mistral-7B-v0.1,
// Qwen2.5-0.5B and Qwen3-0.6B; their parameter counts are on the model cards.

TEST(HuggingFace, reads_gpt2) {
    const Model model = loaded(R"({"model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
        "n_inner": null, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257})");
    const Model expected{.name = "my-model",
                         .layers = 12,
                         .hidden = 768,
                         .heads = 12,
                         .kv_heads = 12,
                         .head_size = 64,
                         .ffn = 3072,
                         .seq = 1024,
                         .vocab = 50257};
    EXPECT_EQ(model, expected);
    EXPECT_EQ(parameters(model), 124'439'808);
}

TEST(HuggingFace, reads_gpt_neox) {
    const Model model = loaded(R"({"model_type": "gpt_neox", "hidden_size": 512,
        "intermediate_size": 2048, "max_position_embeddings": 2048, "num_attention_heads": 8,
        "num_hidden_layers": 6, "rotary_pct": 0.25, "tie_word_embeddings": false,
        "use_parallel_residual": true, "vocab_size": 50304})");
    EXPECT_EQ(model.norm, Norm::layernorm);
    EXPECT_EQ(model.positions, Positions::rotary);
    EXPECT_EQ(model.bias, LinearBias::all);
    EXPECT_FALSE(model.gated_mlp);
    EXPECT_FALSE(model.tied_embeddings);
    EXPECT_EQ(parameters(model), 70'426'624);
}

TEST(HuggingFace, reads_llama) {
    const Model model = loaded(R"({"_name_or_path": "meta-llama/Llama-2-7b-hf",
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
        "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "tie_word_embeddings": false, "vocab_size": 32000})");
    EXPECT_EQ(model.name, "Llama-2-7b-hf");
    EXPECT_TRUE(model.gated_mlp);
    EXPECT_EQ(model.norm, Norm::rmsnorm);
    EXPECT_EQ(model.bias, LinearBias::none);
    EXPECT_EQ(parameters(model), 6'738'415'616);
}

TEST(HuggingFace, reads_mistral) {
    const Model model = loaded(R"({"model_type": "mistral", "hidden_size": 4096,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "sliding_window": 4096,
        "tie_word_embeddings": false, "vocab_size": 32000})");
    EXPECT_EQ(model.kv_heads, 8);
    EXPECT_EQ(model.seq, 32768);
    EXPECT_EQ(parameters(model), 7'241'732'096);
}

TEST(HuggingFace, reads_qwen2_with_its_qkv_bias) {
    const Model model = loaded(R"({"model_type": "qwen2", "hidden_size": 896,
        "intermediate_size": 4864, "max_position_embeddings": 32768, "num_attention_heads": 14,
        "num_hidden_layers": 24, "num_key_value_heads": 2, "tie_word_embeddings": true,
        "vocab_size": 151936})");
    EXPECT_EQ(model.bias, LinearBias::qkv);
    EXPECT_TRUE(model.tied_embeddings);
    EXPECT_EQ(parameters(model), 494'032'768);
}

TEST(HuggingFace, reads_qwen3_with_its_own_head_size) {
    const Model model = loaded(R"({"model_type": "qwen3", "attention_bias": false, "head_dim": 128,
        "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960,
        "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
        "tie_word_embeddings": true, "vocab_size": 151936})");
    EXPECT_EQ(model.head_size, 128);
    EXPECT_EQ(model.attention_width(), 2048);
    const std::int64_t query_and_key_norms = 28LL * 2 * 128;  // not in Model
    EXPECT_EQ(parameters(model), 596'049'920 - query_and_key_norms);
}

constexpr const char* mixtral = R"({"model_type": "mixtral", "hidden_size": 4096,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
        "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "sliding_window": null, "tie_word_embeddings": false,
        "vocab_size": 32000})";

constexpr const char* deepseek_v3 = R"({"model_type": "deepseek_v3", "first_k_dense_replace": 3,
        "hidden_size": 7168, "intermediate_size": 18432, "kv_lora_rank": 512,
        "max_position_embeddings": 4096, "moe_intermediate_size": 2048, "moe_layer_freq": 1,
        "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "num_attention_heads": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
        "num_nextn_predict_layers": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "tie_word_embeddings": false, "topk_group": 4, "v_head_dim": 128,
        "vocab_size": 129280})";

constexpr const char* qwen3_moe = R"({"model_type": "qwen3_moe", "attention_bias": false,
        "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
        "max_position_embeddings": 32768, "mlp_only_layers": [], "moe_intermediate_size": 768,
        "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
        "num_hidden_layers": 48, "num_key_value_heads": 4, "sliding_window": 4096,
        "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 151936})";

Model renamed(Model model, const std::string& name) {
    model.name = name;
    return model;
}

std::vector<std::string> keys_left_out(const std::string& json) {
    const ScratchFolder scratch;
    std::vector<std::string> keys;
    for (const std::string& text : left_out_of_model(scratch.write("config.json", json))) {
        keys.push_back(text.substr(0, text.find(": ")));
    }
    return keys;
}

TEST(HuggingFace, reads_mixtures_of_experts_as_the_shipped_models_are) {
    EXPECT_EQ(renamed(loaded(mixtral), "mixtral-8x7b"), load_model("mixtral-8x7b"));
    EXPECT_EQ(renamed(loaded(qwen3_moe), "qwen3-30b-a3b"), load_model("qwen3-30b-a3b"));
    EXPECT_EQ(renamed(loaded(deepseek_v3), "deepseek-v3-like"), load_model("deepseek-v3-like"));
}

TEST(HuggingFace, approximates_latent_attention_by_as_many_weights) {
    // 7168 x 1536 + 1536 x 128 x 192 + 7168 x 576 + 512 x 128 x 256 + 128 x 128 x 7168
    const double latent = 187'105'280;
    const Model model = loaded(deepseek_v3);
    const auto weights =
        static_cast<double>(2 * model.hidden * (model.attention_width() + model.kv_width()));
    EXPECT_NEAR(weights, latent, 0.03 * latent);
}

TEST(HuggingFace, reads_shared_experts_of_qwen2_moe) {
    // Qwen1.5-MoE-A2.7B
    const Model model = loaded(R"({"model_type": "qwen2_moe", "decoder_sparse_step": 1,
        "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 8192,
        "moe_intermediate_size": 1408, "num_attention_heads": 16, "num_experts": 60,
        "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 16,
        "shared_expert_intermediate_size": 5632, "tie_word_embeddings": false,
        "vocab_size": 151936})");
    EXPECT_EQ(model.shared_experts, 4);
    EXPECT_EQ(model.bias, LinearBias::qkv);
    EXPECT_NEAR(static_cast<double>(parameters(model)) / 1e9, 14.3, 0.03);  // model card
}

TEST(HuggingFace, lists_what_the_shape_lacks) {
    EXPECT_EQ(keys_left_out(mixtral), std::vector<std::string>{});
    EXPECT_EQ(keys_left_out(qwen3_moe), std::vector<std::string>{"qk_norm"});
    EXPECT_EQ(keys_left_out(deepseek_v3),
              (std::vector<std::string>{"kv_lora_rank", "n_group", "num_nextn_predict_layers"}));
    EXPECT_EQ(keys_left_out(R"({"model_type": "gpt_neox", "hidden_size": 512,
        "intermediate_size": 2048, "max_position_embeddings": 2048, "num_attention_heads": 8,
        "num_hidden_layers": 6, "rotary_pct": 0.25, "sliding_window": 64,
        "use_parallel_residual": true, "vocab_size": 50304})"),
              (std::vector<std::string>{"sliding_window", "rotary_pct", "use_parallel_residual"}));
    EXPECT_TRUE(left_out_of_model("llama3-8b").empty());
}

TEST(HuggingFace, reads_first_layers_without_experts) {
    std::string first = qwen3_moe;
    first.replace(first.find("layers\": []"), 11, "layers\": [1, 0]");
    EXPECT_EQ(loaded(first).dense_layers, 2);
}

TEST(HuggingFace, refuses_layers_with_experts_in_other_places) {
    std::string sparse = qwen3_moe;
    sparse.replace(sparse.find("step\": 1"), 8, "step\": 2");
    EXPECT_NE(reading_error(sparse).find("decoder_sparse_step: is not 1"), std::string::npos);
    std::string later = qwen3_moe;
    later.replace(later.find("layers\": []"), 11, "layers\": [0, 2]");
    EXPECT_NE(reading_error(later).find("mlp_only_layers: are not the first"), std::string::npos);
    std::string text = qwen3_moe;
    text.replace(text.find("layers\": []"), 11, "layers\": \"\"");
    EXPECT_NE(reading_error(text).find("mlp_only_layers: is \"\""), std::string::npos);
}

TEST(HuggingFace, refuses_experts_in_families_without) {
    EXPECT_NE(
        reading_error(R"({"model_type": "llama", "num_local_experts": 8})").find("with experts"),
        std::string::npos);
}

TEST(HuggingFace, lists_what_is_supported) {
    const std::string error = reading_error(R"({"model_type": "bert"})");
    EXPECT_NE(error.find("'bert' is not supported (supported are gpt2, gpt_neox, llama, mistral, "
                         "qwen2, qwen3, mixtral, qwen2_moe, qwen3_moe, "
                         "deepseek_v2, deepseek_v3)"),
              std::string::npos)
        << error;
    EXPECT_NE(reading_error(R"({"model_type": "gptneox"})").find("did you mean 'gpt_neox'?"),
              std::string::npos);
    EXPECT_NE(reading_error("{}").find("model_type"), std::string::npos);
}

TEST(HuggingFace, reports_every_mistake_under_the_files_own_keys) {
    const std::string error = reading_error(R"({"model_type": "llama", "hidden_size": "4096",
        "intermediate_size": -1, "max_position_embeddings": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 5, "tie_word_embeddings": 1, "vocab_size": 1e3})");
    for (const char* part : {"hidden_size: is \"4096\"",
                             "intermediate_size: -1 is not positive",
                             "num_hidden_layers: is missing",
                             "tie_word_embeddings: is 1 (true or false",
                             "vocab_size: is 1000.0"}) {
        EXPECT_NE(error.find(part), std::string::npos) << part << " in\n" << error;
    }
}

TEST(HuggingFace, refuses_biases_that_differ_between_attention_and_mlp) {
    EXPECT_NE(reading_error(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
        "max_position_embeddings": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
        "attention_bias": true, "vocab_size": 100})")
                  .find("attention_bias: "),
              std::string::npos);
}

TEST(HuggingFace, names_broken_json) {
    const ScratchFolder scratch;
    const auto error = [&](const std::string& text) {
        try {
            (void)load_model(scratch.write("config.json", text));
        } catch (const ConfigError& problem) {
            return std::string(problem.what());
        }
        return std::string();
    };
    EXPECT_NE(error("{\n\"model_type\": \"gpt2\",\n").find("config.json:3: not valid JSON"),
              std::string::npos);
    EXPECT_NE(error("").find("config.json:1: not valid JSON"), std::string::npos);
    EXPECT_NE(error("[1]").find("is not a model configuration"), std::string::npos);
    EXPECT_NE(error("{\"a\": \"\xFF\"}").find("not UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
