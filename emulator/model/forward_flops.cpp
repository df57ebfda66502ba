// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/forward_flops.hpp"

namespace traindyno {

namespace {

/// Weights of MLPs, or of routers and the experts that a token visits, over all layers.
double weights_after_attention(const Model& model) {
    const auto with_mlp = static_cast<double>(model.layers_with_mlp());
    const auto hidden = static_cast<double>(model.hidden);
    const double mlp = (model.gated_mlp ? 3 : 2) * hidden * static_cast<double>(model.ffn);
    const double experts = hidden * static_cast<double>(model.experts) +
                           static_cast<double>(model.top_k + model.shared_experts) *
                               static_cast<double>(expert_parameters(model));
    return with_mlp * mlp + (static_cast<double>(model.layers) - with_mlp) * experts;
}

}  // namespace

ForwardFlops forward_flops_per_token(const Model& model) {
    const auto layers = static_cast<double>(model.layers);
    const auto hidden = static_cast<double>(model.hidden);
    const auto width = static_cast<double>(model.attention_width());
    const auto kv_width = static_cast<double>(model.kv_width());
    const double attention_weights = hidden * (width + 2 * kv_width) + width * hidden;
    return {.linear = Flops{2 * (layers * attention_weights + weights_after_attention(model))},
            // Two products of [seq, head_size] x [head_size, seq] size per head, per sequence.
            .attention = Flops{layers * 2 * 2 * static_cast<double>(model.seq) * width},
            .logits = Flops{2 * hidden * static_cast<double>(model.vocab)}};
}

}  // namespace traindyno
