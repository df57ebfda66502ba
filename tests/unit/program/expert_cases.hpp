// SPDX-License-Identifier: Apache-2.0
// Small mixtures of experts, and the layouts and setups that make a difference to them.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/program/cases.hpp"

namespace traindyno {

/// Mixtral's kind: every layer has experts.
inline Model small_mixtral(std::int64_t layers) {
    Model model = small_llama(layers);
    model.name = "small-mixtral";
    model.experts = 8;
    model.top_k = 2;
    model.expert_ffn = 32;
    return model;
}

/// DeepSeek's kind: a first layer with an MLP, and an expert that every token visits.
inline Model small_deepseek(std::int64_t layers) {
    Model model = small_mixtral(layers);
    model.name = "small-deepseek";
    model.shared_experts = 1;
    model.dense_layers = 1;
    model.top_k = 3;
    return model;
}

/// Layouts of up to `most_ranks` ranks with ep a divisor of dp and of 8 experts.
std::vector<Layout> expert_layouts(std::int64_t most_ranks);

/// Both models in all those layouts: recomputations, overlaps, balanced and skewed loads, capacity;
/// with sequence parallelism too, but not where the few tokens of a rank leave a member without
/// any.
std::vector<Case> expert_grid(std::int64_t most_ranks);

}  // namespace traindyno
