// SPDX-License-Identifier: Apache-2.0
// One rank's share of the shapes: what tensor and pipeline parallelism leave of the model.
#pragma once

#include <cstdint>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Sizes on one rank. Widths count columns of [tokens, width] activations.
struct LocalShape {
    std::int64_t batch = 0;       ///< sequences per micro-batch
    std::int64_t seq = 0;         ///< tokens per sequence, of s / cp
    std::int64_t positions = 0;   ///< s, of whole sequences
    std::int64_t tokens = 0;      ///< t = batch * seq
    std::int64_t own_tokens = 0;  ///< whose norms and residuals this rank computes: t, or t / tp
                                  ///< with sequence parallelism
    std::int64_t chunks = 1;  ///< that a product beside tensor-parallel communication is cut into
    std::int64_t hidden = 0;  ///< h, never cut
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;
    std::int64_t attention_width = 0;  ///< heads * head_size
    std::int64_t qkv_width = 0;        ///< (heads + 2 kv_heads) * head_size
    std::int64_t rotary_width = 0;     ///< (heads + kv_heads) * head_size: queries and keys
    std::int64_t ffn = 0;
    std::int64_t up_width = 0;      ///< ffn, or 2 ffn when the MLP is gated
    std::int64_t vocab = 0;         ///< rows of the embedding table, padding included
    std::int64_t layers = 0;        ///< of one stage
    std::int64_t dense_layers = 0;  ///< of them, the first: with an MLP
    // Layers with experts; 0 in a dense model.
    std::int64_t experts = 0;        ///< of all ranks together
    std::int64_t local_experts = 0;  ///< on this rank
    std::int64_t top_k = 0;
    std::int64_t expert_ffn = 0;
    std::int64_t expert_up_width = 0;
    std::int64_t shared_ffn = 0;  ///< of all shared experts side by side
    std::int64_t shared_up_width = 0;

    friend bool operator==(const LocalShape&, const LocalShape&) = default;
};

/// Valid models, layouts and setups only (problems_of).
[[nodiscard]] LocalShape local_shape(const Model& model,
                                     const Layout& layout,
                                     const TrainingSetup& setup,
                                     Stage stage);

}  // namespace traindyno
