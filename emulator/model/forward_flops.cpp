// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/forward_flops.hpp"

namespace traindyno {

ForwardFlops forward_flops_per_token(const Model& model) {
    const auto layers = static_cast<double>(model.layers);
    const auto hidden = static_cast<double>(model.hidden);
    const auto width = static_cast<double>(model.attention_width());
    const auto kv_width = static_cast<double>(model.kv_width());
    const auto ffn = static_cast<double>(model.ffn);
    const double mlp_products = model.gated_mlp ? 3 : 2;
    const double weights =
        hidden * (width + 2 * kv_width) + width * hidden + mlp_products * hidden * ffn;
    return {.linear = Flops{layers * 2 * weights},
            // Two products of [seq, head_size] x [head_size, seq] size per head, per sequence.
            .attention = Flops{layers * 2 * 2 * static_cast<double>(model.seq) * width},
            .logits = Flops{2 * hidden * static_cast<double>(model.vocab)}};
}

}  // namespace traindyno
