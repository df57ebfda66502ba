// SPDX-License-Identifier: Apache-2.0
// Model files: defaults, paths, and every mistake reported at once with its line.
#include "emulator/model/catalog.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

std::string error_of(const std::string& name_or_path) {
    try {
        (void)load_model(name_or_path);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

std::ptrdiff_t lines_in(const std::string& text) {
    return 1 + std::count(text.begin(), text.end(), '\n');
}

TEST(Catalog, holds_gpts_llamas_and_mixtures_of_experts) {
    const std::vector<std::string> names = model_names();
    for (const char* name : {"gpt3-125m",
                             "gpt3-350m",
                             "gpt3-760m",
                             "gpt3-1.3b",
                             "gpt3-2.7b",
                             "gpt3-6.7b",
                             "gpt3-13b",
                             "gpt3-175b",
                             "llama3-8b",
                             "llama3-70b",
                             "llama3-405b",
                             "mixtral-8x7b",
                             "deepseek-v3-like",
                             "qwen2.5-7b",
                             "qwen3-30b-a3b"}) {
        EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
        EXPECT_EQ(load_model(name).name, name);
    }
}

TEST(Catalog, reads_gpt3_175b_as_published) {
    const Model expected{.name = "gpt3-175b",
                         .layers = 96,
                         .hidden = 12288,
                         .heads = 96,
                         .kv_heads = 96,
                         .head_size = 128,
                         .ffn = 49152,
                         .seq = 2048,
                         .vocab = 50257,
                         .nominal_parameters = 175e9};
    EXPECT_EQ(load_model("gpt3-175b"), expected);
}

TEST(Catalog, reads_llama3_8b_as_published) {
    const Model expected{.name = "llama3-8b",
                         .layers = 32,
                         .hidden = 4096,
                         .heads = 32,
                         .kv_heads = 8,
                         .head_size = 128,
                         .ffn = 14336,
                         .seq = 8192,
                         .vocab = 128256,
                         .gated_mlp = true,
                         .tied_embeddings = false,
                         .norm = Norm::rmsnorm,
                         .positions = Positions::rotary,
                         .bias = LinearBias::none,
                         .nominal_parameters = 8e9};
    EXPECT_EQ(load_model("llama3-8b"), expected);
}

TEST(Catalog, reads_the_keys_of_experts) {
    const Model model = load_model("deepseek-v3-like");
    EXPECT_EQ(model.experts, 256);
    EXPECT_EQ(model.top_k, 8);
    EXPECT_EQ(model.expert_ffn, 2048);
    EXPECT_EQ(model.shared_experts, 1);
    EXPECT_EQ(model.dense_layers, 3);
    const ScratchFolder scratch;
    const std::string shape = "layers = 2\nhidden = 64\nheads = 4\nseq = 32\nvocab = 100\n";
    EXPECT_EQ(
        load_model(scratch.write("a.toml", shape + "bias = \"none\"\nexperts = 4\ntop_k = 1\n"))
            .expert_ffn,
        256);
    EXPECT_NE(error_of(scratch.write("b.toml", shape + "bias = \"none\"\nexperts = 4\n"))
                  .find("top_k: 0 is not possible"),
              std::string::npos);
    EXPECT_NE(error_of(scratch.write("c.toml", shape + "top_k = 2\n")).find(":6: top_k: 2"),
              std::string::npos);
}

TEST(Catalog, gives_a_file_without_a_name_its_own) {
    const ScratchFolder scratch;
    const std::string path = scratch.write(
        "tiny.toml", "layers = 2\nhidden = 64\nheads = 4\nseq = 32\nvocab = 100\nhead_size = 32\n");
    const Model model = load_model(path);
    EXPECT_EQ(model.name, "tiny");
    EXPECT_EQ(model.kv_heads, 4);
    EXPECT_EQ(model.head_size, 32);
    EXPECT_EQ(model.ffn, 256);
    EXPECT_EQ(model.nominal_parameters, 0);
}

TEST(Catalog, reports_every_mistake_of_a_file_once) {
    const ScratchFolder scratch;
    const std::string path = scratch.write("bad.toml", R"(name = "bad"
layers = -2
hidden = "768"
heads = 0
seq = 2048.5
vocab = 99999999999999
gated_mpl = true
norm = "batchnorm"
nominal_parameters = nan
)");
    const std::string error = error_of(path);
    EXPECT_NE(error.find(path + ":2: layers: -2 is not positive"), std::string::npos) << error;
    EXPECT_NE(error.find(path + ":3: hidden: is text"), std::string::npos) << error;
    EXPECT_NE(error.find(path + ":4: heads: 0 is not positive"), std::string::npos) << error;
    EXPECT_NE(error.find(path + ":5: seq: is a number with a fraction"), std::string::npos)
        << error;
    EXPECT_NE(error.find(path + ":6: vocab: 99999999999999 is too large"), std::string::npos)
        << error;
    EXPECT_NE(error.find(path + ":7: gated_mpl: unknown key"), std::string::npos) << error;
    EXPECT_NE(error.find("did you mean 'gated_mlp'?"), std::string::npos) << error;
    EXPECT_NE(error.find(path + ":8: norm: 'batchnorm'"), std::string::npos) << error;
    EXPECT_NE(error.find(path + ":9: nominal_parameters: is not finite"), std::string::npos)
        << error;
    EXPECT_EQ(lines_in(error), 8) << error;
}

TEST(Catalog, names_every_missing_key) {
    const ScratchFolder scratch;
    const std::string error = error_of(scratch.write("empty.toml", ""));
    for (const char* key : {"layers", "hidden", "heads", "seq", "vocab"}) {
        EXPECT_NE(error.find(std::string("empty.toml: ") + key + ": is missing"), std::string::npos)
            << error;
    }
    EXPECT_EQ(lines_in(error), 5) << error;
}

TEST(Catalog, says_that_heads_do_not_divide_hidden) {
    const ScratchFolder scratch;
    // GPT-3 13B as the paper prints it.
    const std::string path = scratch.write(
        "13b.toml", "layers = 40\nhidden = 5140\nheads = 40\nseq = 2048\nvocab = 50257\n");
    EXPECT_EQ(error_of(path),
              path +
                  ":2: hidden: 5140 is not divisible by heads 40 (head_size defaults to hidden / "
                  "heads) change hidden or heads, or add head_size");
}

TEST(Catalog, survives_values_at_the_ends_of_their_range) {
    const ScratchFolder scratch;
    for (const char* value : {"9223372036854775807", "-9223372036854775808", "0", "4"}) {
        for (const char* key :
             {"layers", "hidden", "heads", "kv_heads", "head_size", "ffn", "seq", "vocab"}) {
            std::string text = "layers = 2\nhidden = 64\nheads = 4\nseq = 32\nvocab = 100\n";
            const std::size_t at = text.find(std::string(key) + " =");
            if (at != std::string::npos) {
                text.erase(at, text.find('\n', at) + 1 - at);
            }
            const std::string path = scratch.write("edge.toml", text + key + " = " + value + "\n");
            const std::string error = error_of(path);
            const bool valid = std::string(value) == "4";
            EXPECT_EQ(error.empty(), valid) << key << " = " << value << "\n" << error;
        }
    }
}

TEST(Catalog, names_broken_files) {
    const ScratchFolder scratch;
    EXPECT_NE(error_of(scratch.write("cut.toml", "layers = 2\nhidden = "))
                  .find("cut.toml:2: not valid TOML"),
              std::string::npos);
    EXPECT_NE(error_of(scratch.write("latin1.toml", "name = \"gr\xFC\xDF\""))
                  .find("latin1.toml:1: not UTF-8"),
              std::string::npos);
    EXPECT_NE(error_of((scratch.path() / "none.toml").string()).find("No such file"),
              std::string::npos);
}

TEST(Catalog, suggests_the_model_that_was_meant) {
    EXPECT_NE(error_of("gpt3-175B ").find("did you mean 'gpt3-175b'?"), std::string::npos);
    EXPECT_NE(error_of("bert").find("there are deepseek-v3-like"), std::string::npos);
    EXPECT_NE(error_of("").find("is not in configs/models"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
