// SPDX-License-Identifier: Apache-2.0
// Families with experts: Mixtral, Qwen-MoE, DeepSeek.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "emulator/model/hugging_face_config.hpp"

namespace traindyno {

namespace {

/// Layers with an MLP must be the first ones: refuses every other pattern.
void refuse_layer_pattern(HuggingFaceConfig& config, const char* key) {
    if (config.integer_or(key, 1) != 1) {
        config.report(key,
                      "is not 1 (all layers after the first few must have experts) describe the "
                      "nearest model in a .toml file");
    }
}

/// Layers that `mlp_only_layers` lists, which must be 0, 1, ...
std::int64_t first_dense_layers(HuggingFaceConfig& config) {
    std::vector<std::int64_t> layers = config.list("mlp_only_layers");
    std::sort(layers.begin(), layers.end());
    std::vector<std::int64_t> first(layers.size());
    std::iota(first.begin(), first.end(), 0);
    if (layers != first) {
        config.report("mlp_only_layers",
                      "are not the first layers (all layers after them must have experts) describe "
                      "the nearest model in a .toml file");
    }
    return static_cast<std::int64_t>(layers.size());
}

Model read_qwen_experts(HuggingFaceConfig& config) {
    Model model = read_llama(config);
    model.experts = config.integer("num_experts");
    model.top_k = config.integer("num_experts_per_tok");
    model.expert_ffn = config.integer("moe_intermediate_size");
    refuse_layer_pattern(config, "decoder_sparse_step");
    model.dense_layers = first_dense_layers(config);
    return model;
}

struct LatentSizes {
    std::int64_t query = 0;  ///< 0: queries are not compressed
    std::int64_t kv = 0;
    std::int64_t nope = 0;  ///< columns of a query or key without position
    std::int64_t rope = 0;  ///< columns with position, of keys shared by the heads
    std::int64_t value = 0;
};

/// Weights of multi-head latent attention: DeepSeek-V2, arXiv:2405.04434, section 2.1.
double latent_weights(const Model& model, const LatentSizes& sizes) {
    const auto h = static_cast<double>(model.hidden);
    const auto a = static_cast<double>(model.heads);
    const auto q = static_cast<double>(sizes.query);
    const auto kv = static_cast<double>(sizes.kv);
    const auto nope = static_cast<double>(sizes.nope);
    const auto rope = static_cast<double>(sizes.rope);
    const auto value = static_cast<double>(sizes.value);
    const double queries = q > 0 ? q * (h + a * (nope + rope)) : h * a * (nope + rope);
    return queries + h * (kv + rope) + kv * a * (nope + value) + a * value * h;
}

/// Grouped queries with as many weights as latent attention has, to a multiple of the key/value
/// heads, of which there is one for 16 heads: heads and key/value heads together make two
/// projections of each.
void approximate_latent_attention(HuggingFaceConfig& config, Model& model) {
    const LatentSizes sizes{.query = config.integer_or("q_lora_rank", 0),
                            .kv = config.integer("kv_lora_rank"),
                            .nope = config.integer("qk_nope_head_dim"),
                            .rope = config.integer("qk_rope_head_dim"),
                            .value = config.integer("v_head_dim")};
    if (model.hidden <= 0 || model.heads <= 0 || sizes.value <= 0) {
        return;
    }
    constexpr std::int64_t queries_per_key = 16;
    const double projections = latent_weights(model, sizes) / 2 / static_cast<double>(sizes.value) /
                               static_cast<double>(model.hidden);
    const std::int64_t groups = std::max<std::int64_t>(1, model.heads / queries_per_key);
    const double per_group = projections / static_cast<double>(groups) - 1;
    const std::int64_t latent_heads = model.heads;
    model.head_size = sizes.value;
    model.kv_heads = groups;
    model.heads = groups * std::max<std::int64_t>(1, std::llround(std::min(per_group, 65536.0)));
    config.leave_out(
        "kv_lora_rank",
        fmt::format("multi-head latent attention of {} heads is approximated by {} heads and {} "
                    "key/value heads of {}, which have as many weights; scores take {} instead of "
                    "{} columns",
                    latent_heads,
                    model.heads,
                    model.kv_heads,
                    model.head_size,
                    2 * model.attention_width(),
                    latent_heads * (sizes.nope + sizes.rope + sizes.value)));
}

}  // namespace

Model read_mixtral(HuggingFaceConfig& config) {
    Model model = read_llama(config);
    model.experts = config.integer("num_local_experts");
    model.top_k = config.integer("num_experts_per_tok");
    model.expert_ffn = model.ffn;
    return model;
}

Model read_qwen2_moe(HuggingFaceConfig& config) {
    Model model = read_qwen_experts(config);
    model.bias = LinearBias::qkv;
    const std::int64_t shared = config.integer("shared_expert_intermediate_size");
    if (model.expert_ffn > 0 && shared % model.expert_ffn != 0) {
        config.report("shared_expert_intermediate_size",
                      "is not a multiple of moe_intermediate_size (shared experts are as wide as "
                      "the others) describe the nearest model in a .toml file");
    }
    model.shared_experts = model.expert_ffn > 0 ? shared / model.expert_ffn : 0;
    config.leave_out("shared_expert_gate", "the shared experts' output is not scaled by a gate");
    return model;
}

Model read_qwen3_moe(HuggingFaceConfig& config) {
    Model model = read_qwen_experts(config);
    config.leave_out("qk_norm",
                     "queries and keys are not normalised (2 x head_dim parameters per layer)");
    return model;
}

Model read_deepseek(HuggingFaceConfig& config) {
    Model model = read_llama(config);
    model.experts = config.integer("n_routed_experts");
    model.top_k = config.integer("num_experts_per_tok");
    model.expert_ffn = config.integer("moe_intermediate_size");
    model.shared_experts = config.integer_or("n_shared_experts", 0);
    model.dense_layers = config.integer_or("first_k_dense_replace", 0);
    refuse_layer_pattern(config, "moe_layer_freq");
    approximate_latent_attention(config, model);
    if (config.integer_or("n_group", 1) > 1) {
        config.leave_out("n_group", "tokens may visit experts of all groups, not of topk_group");
    }
    if (config.integer_or("num_nextn_predict_layers", 0) > 0) {
        config.leave_out("num_nextn_predict_layers", "layers that predict further tokens");
    }
    return model;
}

}  // namespace traindyno
