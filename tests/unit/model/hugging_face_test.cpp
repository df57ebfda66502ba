// SPDX-License-Identifier: Apache-2.0
// Hugging Face config.json files of the supported families become the shapes they describe.
#include <string>

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

TEST(HuggingFace, refuses_mixtures_of_experts) {
    for (const char* json : {R"({"model_type": "mixtral"})",
                             R"({"model_type": "qwen3_moe"})",
                             R"({"model_type": "deepseek_v3", "n_routed_experts": 256})",
                             R"({"model_type": "llama", "num_local_experts": 8})"}) {
        EXPECT_NE(reading_error(json).find("mixture of experts"), std::string::npos) << json;
    }
}

TEST(HuggingFace, lists_what_is_supported) {
    const std::string error = reading_error(R"({"model_type": "bert"})");
    EXPECT_NE(
        error.find(
            "'bert' is not supported (supported are gpt2, gpt_neox, llama, mistral, qwen2, qwen3)"),
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
