// SPDX-License-Identifier: Apache-2.0
// The shape of a transformer: everything else about a model is derived from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class Norm : std::uint8_t { layernorm, rmsnorm };
enum class Positions : std::uint8_t { learned, rotary };
enum class LinearBias : std::uint8_t { none, qkv, all };  ///< which linear layers carry a bias

template <>
struct EnumNames<Norm> {
    static constexpr auto names = enum_table<Norm>("layernorm", "rmsnorm");
};

template <>
struct EnumNames<Positions> {
    static constexpr auto names = enum_table<Positions>("learned", "rotary");
};

template <>
struct EnumNames<LinearBias> {
    static constexpr auto names = enum_table<LinearBias>("none", "qkv", "all");
};

/// Decoder-only transformer, pre-norm, causal. Symbols as in Narayanan et al., SC'21: l, h, a, s,
/// V.
struct Model {
    std::string name;
    std::int64_t layers = 0;     ///< l
    std::int64_t hidden = 0;     ///< h
    std::int64_t heads = 0;      ///< a, query heads
    std::int64_t kv_heads = 0;   ///< key/value heads (GQA); equals heads without GQA
    std::int64_t head_size = 0;  ///< hidden / heads unless the model says otherwise
    std::int64_t ffn = 0;        ///< inner width of the MLP
    std::int64_t seq = 0;        ///< s, sequence length trained with
    std::int64_t vocab = 0;      ///< V, before padding
    bool gated_mlp = false;      ///< SwiGLU: two up projections, one down projection
    bool tied_embeddings = true;
    Norm norm = Norm::layernorm;
    Positions positions = Positions::learned;
    LinearBias bias = LinearBias::all;
    std::int64_t experts = 0;         ///< routed experts of a layer; 0: a dense model
    std::int64_t top_k = 0;           ///< experts that each token visits
    std::int64_t expert_ffn = 0;      ///< inner width of one expert
    std::int64_t shared_experts = 0;  ///< experts of that width that every token visits
    std::int64_t dense_layers = 0;    ///< first layers of a model with experts that have an MLP
    /// The size in the model's name (175e9 for "GPT-3 175B"); 0 when it has none.
    double nominal_parameters = 0;

    friend bool operator==(const Model&, const Model&) = default;

    [[nodiscard]] std::int64_t attention_width() const { return heads * head_size; }

    [[nodiscard]] std::int64_t kv_width() const { return kv_heads * head_size; }
};

/// Every reason why `model` cannot be trained: "key: problem (why) suggestion". Empty when valid.
[[nodiscard]] std::vector<std::string> problems_of(const Model& model);

/// Exact number of trainable parameters (embeddings once when tied, biases and norms included).
[[nodiscard]] std::int64_t parameters(const Model& model);

/// Parameters of one transformer layer.
[[nodiscard]] std::int64_t layer_parameters(const Model& model);

}  // namespace traindyno
