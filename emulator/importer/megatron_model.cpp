// SPDX-License-Identifier: Apache-2.0
#include "emulator/importer/megatron_model.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace traindyno {

namespace {

/// GPT-2's byte-pair encoding; other tokenizers have the size of their file.
constexpr std::int64_t gpt2_vocabulary = 50257;

std::int64_t required(ArgumentReader& read,
                      Problems& problems,
                      std::string_view name,
                      std::string_view example) {
    if (!read.given(name)) {
        problems.add(fmt::format(
            "{}: missing (the model needs it) add {} {}", read.origin(name), name, example));
    }
    return read.count(name).value_or(1);
}

std::int64_t read_vocabulary(ArgumentReader& read, Problems& problems) {
    const auto tokenizer = read.text("--tokenizer-type");
    if (const auto size = read.count("--vocab-size")) {
        return *size;
    }
    if (tokenizer == "GPT2BPETokenizer") {
        return gpt2_vocabulary;
    }
    if (!read.given("--vocab-size")) {
        problems.add(fmt::format(
            "{}: missing (the size of the vocabulary is in the tokenizer's file, which is not read "
            "here) add --vocab-size N, the number before padding",
            read.origin("--vocab-size")));
    }
    return gpt2_vocabulary;
}

void read_attention(ArgumentReader& read, Imported& imported, Model& model) {
    const bool grouped = read.given("--group-query-attention");
    const auto groups = read.count("--num-query-groups");
    model.kv_heads = grouped ? groups.value_or(1) : model.heads;
    const auto channels = read.count("--kv-channels");
    model.head_size = channels.value_or(std::max<std::int64_t>(model.hidden / model.heads, 1));
    const std::int64_t content = read.count("--qk-head-dim").value_or(128);
    const std::int64_t position = read.count("--qk-pos-emb-head-dim").value_or(64);
    if (read.given("--multi-latent-attention")) {
        model.kv_heads = model.heads;
        model.head_size = content + position;
        imported.not_emulated.push_back(fmt::format(
            "--multi-latent-attention (computed as ordinary attention with heads of {} values)",
            model.head_size));
    }
}

/// Layers before the first with experts, from "--moe-layer-freq ([0]*3+[1]*58)" or "[0,0,1,1]";
/// nothing where dense layers lie between others.
std::optional<std::int64_t> leading_dense_layers(const std::string& pattern) {
    std::string zeros_and_ones;
    for (std::size_t at = 0; at < pattern.size();) {
        const std::size_t open = pattern.find('[', at);
        const std::size_t close = pattern.find(']', at);
        if (open == std::string::npos || close == std::string::npos || close < open) {
            break;
        }
        std::string part;
        std::copy_if(pattern.begin() + static_cast<std::ptrdiff_t>(open),
                     pattern.begin() + static_cast<std::ptrdiff_t>(close),
                     std::back_inserter(part),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
        std::size_t times = 1;
        at = close + 1;
        if (at < pattern.size() && pattern[at] == '*') {
            times = static_cast<std::size_t>(std::strtoul(pattern.c_str() + at + 1, nullptr, 10));
            at = std::min(pattern.find_first_of("+)", at), pattern.size());
        }
        for (std::size_t i = 0; i < std::min<std::size_t>(times, 100'000); ++i) {
            zeros_and_ones += part;
        }
    }
    const std::size_t first = zeros_and_ones.find('1');
    if (first == std::string::npos || zeros_and_ones.find('0', first) != std::string::npos ||
        pattern.find(")*") != std::string::npos) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(first);
}

void read_dense_layers(ArgumentReader& read, Imported& imported, Model& model) {
    const auto pattern = read.text("--moe-layer-freq");
    if (!pattern || *pattern == "1") {
        return;
    }
    const auto dense = leading_dense_layers(*pattern);
    model.dense_layers = dense.value_or(0);
    if (!dense) {
        imported.not_emulated.push_back(fmt::format(
            "--moe-layer-freq {} (all layers have experts, or all but the first ones)", *pattern));
    }
}

void read_experts(ArgumentReader& read, Imported& imported, Model& model) {
    model.experts = read.count("--num-experts").value_or(0);
    const std::int64_t top_k = read.count("--moe-router-topk").value_or(2);
    const std::int64_t width = read.count("--moe-ffn-hidden-size").value_or(model.ffn);
    const std::int64_t shared = read.count("--moe-shared-expert-intermediate-size").value_or(0);
    read_dense_layers(read, imported, model);
    if (model.experts == 0) {
        model.dense_layers = 0;
        return;
    }
    model.top_k = top_k;
    model.expert_ffn = width;
    model.shared_experts = (shared + width - 1) / width;
    if (shared % width != 0) {
        imported.not_emulated.push_back(
            fmt::format("--moe-shared-expert-intermediate-size {} (rounded up to {} experts of {})",
                        shared,
                        model.shared_experts,
                        width));
    }
}

void read_positions(ArgumentReader& read, Imported& imported, Model& model) {
    const std::string kind = read.text("--position-embedding-type").value_or("learned_absolute");
    const bool rotary = read.given("--use-rotary-position-embeddings");
    const auto longest = read.count("--max-position-embeddings");
    model.positions = rotary || kind == "rope" ? Positions::rotary : Positions::learned;
    if (!rotary && kind != "rope" && kind != "learned_absolute") {
        imported.not_emulated.push_back(
            fmt::format("--position-embedding-type {} (positions are learned or rotary)", kind));
    }
    if (model.positions == Positions::learned && longest && *longest != model.seq) {
        imported.not_emulated.push_back(fmt::format(
            "--max-position-embeddings {} (the table has one row per token of a sequence, {})",
            *longest,
            model.seq));
    }
}

}  // namespace

void read_megatron_model(ArgumentReader& read, Problems& problems, Imported& imported) {
    Model model;
    model.name = "megatron-import";
    const auto encoder_layers = read.count("--encoder-num-layers");
    model.layers =
        encoder_layers ? *encoder_layers : required(read, problems, "--num-layers", "96");
    model.hidden = required(read, problems, "--hidden-size", "12288");
    model.heads = required(read, problems, "--num-attention-heads", "96");
    const auto encoder_seq = read.count("--encoder-seq-length");
    model.seq = encoder_seq ? *encoder_seq : required(read, problems, "--seq-length", "2048");
    model.gated_mlp = read.given("--swiglu");
    // Megatron's default for a gated MLP: 8/3 h, down to a multiple of 64.
    const std::int64_t width = model.gated_mlp ? 8 * model.hidden / 3 / 64 * 64 : 4 * model.hidden;
    model.ffn = read.count("--ffn-hidden-size").value_or(width);
    model.vocab = read_vocabulary(read, problems);
    model.tied_embeddings = !read.given("--untie-embeddings-and-output-weights");
    model.norm = read.text("--normalization") == "RMSNorm" ? Norm::rmsnorm : Norm::layernorm;
    const bool qkv_bias = read.given("--add-qkv-bias");
    const bool no_bias = read.given("--disable-bias-linear");
    model.bias = !no_bias ? LinearBias::all : qkv_bias ? LinearBias::qkv : LinearBias::none;
    read_attention(read, imported, model);
    read_positions(read, imported, model);
    read_experts(read, imported, model);
    imported.model = std::move(model);
}

}  // namespace traindyno
