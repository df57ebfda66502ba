// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/hugging_face.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"
#include "emulator/model/hugging_face_config.hpp"

namespace traindyno {

namespace {

/// Whether biases sit on all linear layers or none, from separate switches for attention and MLP.
LinearBias uniform_bias(HuggingFaceConfig& config, bool attention, bool mlp) {
    if (attention != mlp) {
        config.report(
            "attention_bias",
            "differs from the MLP's biases (only none, qkv or all linear layers can carry "
            "them) set both alike");
    }
    return attention ? LinearBias::all : LinearBias::none;
}

/// hidden / heads; 1 where that cannot be said, which then has a problem of its own.
std::int64_t default_head_size(HuggingFaceConfig& config,
                               const Model& model,
                               const char* hidden_key) {
    if (model.hidden <= 0 || model.heads <= 0) {
        return 1;
    }
    if (model.hidden % model.heads != 0) {
        config.report(
            hidden_key,
            fmt::format(
                "{} is not divisible by the {} heads (each head gets an equal share) check both",
                model.hidden,
                model.heads));
    }
    return std::max<std::int64_t>(1, model.hidden / model.heads);
}

Model read_gpt2(HuggingFaceConfig& config) {
    Model model;
    model.layers = config.integer("n_layer");
    model.hidden = config.integer("n_embd");
    model.heads = config.integer("n_head");
    model.kv_heads = std::clamp<std::int64_t>(model.heads, 1, 1 << 16);
    model.head_size = default_head_size(config, model, "n_embd");
    model.ffn =
        config.integer_or("n_inner", 4 * std::clamp<std::int64_t>(model.hidden, 1, 1 << 22));
    model.seq = config.integer("n_positions");
    model.vocab = config.integer("vocab_size");
    model.tied_embeddings = config.flag_or("tie_word_embeddings", true);
    return model;
}

Model read_gpt_neox(HuggingFaceConfig& config) {
    Model model = read_common(config);
    model.bias = uniform_bias(config, config.flag_or("attention_bias", true), true);
    return model;
}

Model read_qwen2(HuggingFaceConfig& config) {
    Model model = read_common(config);
    model.norm = Norm::rmsnorm;
    model.gated_mlp = true;
    model.bias = LinearBias::qkv;
    return model;
}

Model read_qwen3(HuggingFaceConfig& config) {
    config.leave_out("qk_norm",
                     "queries and keys are not normalised (2 x head_dim parameters per layer)");
    return read_llama(config);
}

struct Family {
    std::string_view model_type;
    Model (*read)(HuggingFaceConfig&);
    LayerKind mlp = LayerKind::dense;
};

constexpr std::array families{Family{"gpt2", read_gpt2},
                              Family{"gpt_neox", read_gpt_neox},
                              Family{"llama", read_llama},
                              Family{"mistral", read_llama},
                              Family{"qwen2", read_qwen2},
                              Family{"qwen3", read_qwen3},
                              Family{"mixtral", read_mixtral, LayerKind::experts},
                              Family{"qwen2_moe", read_qwen2_moe, LayerKind::experts},
                              Family{"qwen3_moe", read_qwen3_moe, LayerKind::experts},
                              Family{"deepseek_v2", read_deepseek, LayerKind::experts},
                              Family{"deepseek_v3", read_deepseek, LayerKind::experts}};

/// Features of several families that change the work but have no place in Model.
void note_what_models_lack(HuggingFaceConfig& config) {
    if (config.integer_or("sliding_window", 0) > 0 && config.flag_or("use_sliding_window", true)) {
        config.leave_out("sliding_window", "attention spans the whole sequence");
    }
    for (const char* key : {"rotary_pct", "partial_rotary_factor"}) {
        if (config.number_or(key, 1) < 1) {
            config.leave_out(key, "all of a query's and key's columns are rotated");
        }
    }
    if (config.flag_or("use_parallel_residual", false)) {
        config.leave_out("use_parallel_residual", "the MLP follows attention");
    }
}

/// Whether a family without experts names some all the same.
bool has_experts(HuggingFaceConfig& config) {
    constexpr std::array keys{
        "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"};
    return std::any_of(
        keys.begin(), keys.end(), [&](const char* key) { return config.integer_or(key, 0) > 1; });
}

const Family& family_of(HuggingFaceConfig& config) {
    const std::string model_type = config.text_or("model_type", "");
    const auto* const found =
        std::find_if(families.begin(), families.end(), [&](const Family& family) {
            return family.model_type == model_type;
        });
    if (found == families.end()) {
        std::vector<std::string> known;
        known.reserve(families.size());
        for (const Family& family : families) {
            known.emplace_back(family.model_type);
        }
        throw ConfigError(
            {fmt::format("{}: model_type: '{}' is not supported (supported are {}) describe the "
                         "model in a .toml file instead{}",
                         config.path().string(),
                         model_type,
                         fmt::join(known, ", "),
                         did_you_mean(model_type, known))});
    }
    if (found->mlp == LayerKind::dense && has_experts(config)) {
        throw ConfigError({fmt::format(
            "{}: model_type: '{}' with experts is not known (families with experts are mixtral, "
            "qwen2_moe, qwen3_moe, deepseek_v2, deepseek_v3) describe the model in a .toml file",
            config.path().string(),
            model_type)});
    }
    return *found;
}

/// What our keys are called in a config.json.
struct KeyName {
    std::string_view ours;
    std::string_view gpt2;
    std::string_view others;
};

constexpr std::array key_names{KeyName{"layers", "n_layer", "num_hidden_layers"},
                               KeyName{"hidden", "n_embd", "hidden_size"},
                               KeyName{"heads", "n_head", "num_attention_heads"},
                               KeyName{"kv_heads", "n_head", "num_key_value_heads"},
                               KeyName{"head_size", "n_embd", "head_dim"},
                               KeyName{"ffn", "n_inner", "intermediate_size"},
                               KeyName{"top_k", "top_k", "num_experts_per_tok"},
                               KeyName{"expert_ffn", "expert_ffn", "moe_intermediate_size"},
                               KeyName{"shared_experts", "shared_experts", "n_shared_experts"},
                               KeyName{"dense_layers", "dense_layers", "first_k_dense_replace"},
                               KeyName{"seq", "n_positions", "max_position_embeddings"},
                               KeyName{"vocab", "vocab_size", "vocab_size"}};

/// Adds what is wrong with the model itself under the file's own keys, once per key.
void report_problems(HuggingFaceConfig& config, const Model& model, std::string_view model_type) {
    for (const std::string& problem : problems_of(model)) {
        const std::size_t colon = problem.find(": ");
        const std::string_view ours = std::string_view(problem).substr(0, colon);
        const auto* const found =
            std::find_if(key_names.begin(), key_names.end(), [&](const KeyName& name) {
                return name.ours == ours;
            });
        std::string_view key = ours;
        if (found != key_names.end()) {
            key = model_type == "gpt2" ? found->gpt2 : found->others;
        }
        if (!config.reported(key)) {
            config.report(key, problem.substr(colon + 2));
        }
    }
}

/// "Llama-2-7b-hf" of "meta-llama/Llama-2-7b-hf", else the folder the file lies in.
std::string name_of(const HuggingFaceConfig& config) {
    const std::string folder =
        std::filesystem::absolute(config.path()).parent_path().filename().string();
    const std::string origin = config.text_or("_name_or_path", "");
    std::string last = std::filesystem::path(origin).filename().string();
    if (!last.empty()) {
        return last;
    }
    return folder.empty() ? config.path().stem().string() : folder;
}

}  // namespace

Model read_common(HuggingFaceConfig& config) {
    Model model;
    model.layers = config.integer("num_hidden_layers");
    model.hidden = config.integer("hidden_size");
    model.heads = config.integer("num_attention_heads");
    model.kv_heads =
        config.integer_or("num_key_value_heads", std::clamp<std::int64_t>(model.heads, 1, 1 << 16));
    model.head_size = config.has("head_dim") ? config.integer("head_dim")
                                             : default_head_size(config, model, "hidden_size");
    model.ffn = config.integer("intermediate_size");
    model.seq = config.integer("max_position_embeddings");
    model.vocab = config.integer("vocab_size");
    model.positions = Positions::rotary;
    model.tied_embeddings = config.flag_or("tie_word_embeddings", false);
    return model;
}

Model read_llama(HuggingFaceConfig& config) {
    Model model = read_common(config);
    model.norm = Norm::rmsnorm;
    model.gated_mlp = true;
    model.bias = uniform_bias(
        config, config.flag_or("attention_bias", false), config.flag_or("mlp_bias", false));
    return model;
}

ImportedModel load_hugging_face_model(const std::filesystem::path& path) {
    HuggingFaceConfig config(path);
    const Family& family = family_of(config);
    Model model = family.read(config);
    model.name = name_of(config);
    note_what_models_lack(config);
    report_problems(config, model, family.model_type);
    config.throw_if_any();
    return {.model = std::move(model), .left_out = config.left_out()};
}

}  // namespace traindyno
