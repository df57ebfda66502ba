// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace traindyno {

namespace {

/// Largest value that keeps every product of shapes inside 64 bits, far beyond any known model.
struct Dimension {
    std::string_view key;
    std::int64_t value;
    std::int64_t most;
};

constexpr double most_parameters = 1e15;

std::vector<std::string> problems_of_dimensions(const Model& model) {
    const std::array dimensions{Dimension{"layers", model.layers, 100'000},
                                Dimension{"hidden", model.hidden, 1 << 22},
                                Dimension{"heads", model.heads, 1 << 16},
                                Dimension{"kv_heads", model.kv_heads, 1 << 16},
                                Dimension{"head_size", model.head_size, 1 << 16},
                                Dimension{"ffn", model.ffn, 1 << 24},
                                Dimension{"seq", model.seq, 1 << 27},
                                Dimension{"vocab", model.vocab, 1 << 27}};
    std::vector<std::string> problems;
    for (const Dimension& dimension : dimensions) {
        if (dimension.value <= 0) {
            problems.push_back(
                fmt::format("{0}: {1} is not positive (a model has at least one) give {0} a value "
                            "from 1 to {2}",
                            dimension.key,
                            dimension.value,
                            dimension.most));
        } else if (dimension.value > dimension.most) {
            problems.push_back(fmt::format(
                "{}: {} is too large (sizes beyond {} are not supported) check the number",
                dimension.key,
                dimension.value,
                dimension.most));
        }
    }
    return problems;
}

std::int64_t norm_parameters(const Model& model) {
    return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
}

/// Of an MLP, or of a router, `routed` experts and the shared ones.
std::int64_t after_attention(const Model& model, LayerKind kind, std::int64_t routed) {
    if (kind == LayerKind::experts) {
        return model.hidden * model.experts +
               (routed + model.shared_experts) * expert_parameters(model);
    }
    const std::int64_t up_outputs = (model.gated_mlp ? 2 : 1) * model.ffn;
    const std::int64_t biases = model.bias == LinearBias::all ? up_outputs + model.hidden : 0;
    return model.hidden * (up_outputs + model.ffn) + biases;
}

std::int64_t layer_parameters(const Model& model, LayerKind kind, std::int64_t routed) {
    const std::int64_t qkv_outputs = model.attention_width() + 2 * model.kv_width();
    const std::int64_t weights = model.hidden * (qkv_outputs + model.attention_width());
    const std::int64_t qkv_biases = model.bias == LinearBias::none ? 0 : qkv_outputs;
    const std::int64_t output_bias = model.bias == LinearBias::all ? model.hidden : 0;
    return weights + qkv_biases + output_bias + 2 * norm_parameters(model) +
           after_attention(model, kind, routed);
}

std::int64_t parameters(const Model& model, std::int64_t routed) {
    const std::int64_t tables = model.tied_embeddings ? 1 : 2;
    const std::int64_t positions =
        model.positions == Positions::learned ? model.seq * model.hidden : 0;
    const std::int64_t with_mlp = model.layers_with_mlp();
    return with_mlp * layer_parameters(model, LayerKind::dense, routed) +
           (model.layers - with_mlp) * layer_parameters(model, LayerKind::experts, routed) +
           tables * model.vocab * model.hidden + positions + norm_parameters(model);
}

/// What a mixture of experts needs; a dense model has none of its keys.
std::vector<std::string> problems_of_experts(const Model& model) {
    std::vector<std::string> problems;
    const auto check = [&](std::string_view key,
                           std::int64_t value,
                           std::int64_t least,
                           std::int64_t most,
                           std::string_view why) {
        if (value < least || value > most) {
            problems.push_back(
                fmt::format("{}: {} is not possible ({}) give it a value from {} to {}",
                            key,
                            value,
                            why,
                            least,
                            most));
        }
    };
    if (model.experts == 0) {
        constexpr std::string_view dense = "the model has no experts; leave it out or add experts";
        check("top_k", model.top_k, 0, 0, dense);
        check("expert_ffn", model.expert_ffn, 0, 0, dense);
        check("shared_experts", model.shared_experts, 0, 0, dense);
        check("dense_layers", model.dense_layers, 0, 0, dense);
        return problems;
    }
    check("experts", model.experts, 1, 1 << 16, "a layer has at least one");
    if (!problems.empty()) {
        return problems;
    }
    check("top_k",
          model.top_k,
          1,
          std::min(model.experts, most_top_k),
          "a token visits some of the experts, each once");
    check("expert_ffn", model.expert_ffn, 1, 1 << 24, "experts have an inner width");
    check("shared_experts", model.shared_experts, 0, 1 << 16, "every token visits them");
    check("dense_layers", model.dense_layers, 0, model.layers - 1, "the other layers have experts");
    if (model.bias == LinearBias::all) {
        problems.emplace_back(
            "bias: all does not go with experts (theirs have no biases) use none or qkv");
    }
    return problems;
}

/// Problems between values that are each in range.
std::vector<std::string> problems_of_shape(const Model& model) {
    std::vector<std::string> problems = problems_of_experts(model);
    if (!problems.empty()) {
        return problems;
    }
    if (model.heads % model.kv_heads != 0) {
        problems.push_back(fmt::format(
            "kv_heads: {} does not divide heads {} (each key/value head serves equally many query "
            "heads) choose a divisor of {}",
            model.kv_heads,
            model.heads,
            model.heads));
    }
    if (model.positions == Positions::rotary && model.head_size % 2 != 0) {
        problems.push_back(
            fmt::format("head_size: {} is odd (rotary positions turn pairs of values) choose an "
                        "even head_size, hidden or heads",
                        model.head_size));
    }
    if (model.attention_width() > 1 << 22) {
        problems.push_back(
            fmt::format("heads: {} heads of {} are too wide (widths beyond {} are not supported) "
                        "check heads and head_size",
                        model.heads,
                        model.head_size,
                        1 << 22));
        return problems;
    }
    const double experts = static_cast<double>(model.experts + model.shared_experts) *
                           static_cast<double>(expert_parameters(model));
    const double total = static_cast<double>(model.layers) *
                         (static_cast<double>(layer_parameters(model)) + experts);
    if (total > most_parameters) {
        problems.push_back(
            fmt::format("layers: {} layers of this size have {:.1e} parameters (more than {:.0e} "
                        "are not supported) check layers, hidden and ffn",
                        model.layers,
                        total,
                        most_parameters));
    }
    return problems;
}

}  // namespace

std::vector<std::string> problems_of(const Model& model) {
    std::vector<std::string> problems = problems_of_dimensions(model);
    if (problems.empty()) {
        problems = problems_of_shape(model);
    }
    if (model.name.empty()) {
        problems.emplace_back(
            "name: is empty (reports need one) give the model a name such as \"my-gpt\"");
    }
    if (!std::isfinite(model.nominal_parameters) || model.nominal_parameters < 0 ||
        model.nominal_parameters > most_parameters) {
        problems.push_back(
            fmt::format("nominal_parameters: {} is no parameter count (0 to {:.0e}) write the size "
                        "in the model's name, 175e9, or leave it out",
                        model.nominal_parameters,
                        most_parameters));
    }
    return problems;
}

std::int64_t expert_parameters(const Model& model) {
    return (model.gated_mlp ? 3 : 2) * model.hidden * model.expert_ffn;
}

std::int64_t layer_parameters(const Model& model, LayerKind kind) {
    return layer_parameters(model, kind, model.experts);
}

std::int64_t parameters(const Model& model) {
    return parameters(model, model.experts);
}

std::int64_t active_parameters(const Model& model) {
    return parameters(model, model.top_k);
}

}  // namespace traindyno
