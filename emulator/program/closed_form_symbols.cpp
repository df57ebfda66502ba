// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/closed_form_symbols.hpp"

#include "emulator/program/build.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

std::int64_t Symbols::stage_layers() const {
    return layers_of_stage(model, layout, setup, stage);
}

std::int64_t Symbols::dense_layers() const {
    return dense_layers_of_stage(model, layout, setup, stage);
}

std::int64_t Symbols::runs() const {
    return micro_batches(layout, setup);
}

std::int64_t Symbols::table() const {
    return padded_vocab(model, layout) / layout.tp * model.hidden;
}

std::int64_t Symbols::layer_parameters(LayerKind kind) const {
    const std::int64_t h = model.hidden;
    const std::int64_t qkv = model.attention_width() + 2 * model.kv_width();
    const std::int64_t up = (model.gated_mlp ? 2 : 1) * model.ffn;
    // Weights of linear layers and biases of column-parallel ones are cut; the rest is not.
    std::int64_t cut = h * (qkv + model.attention_width());
    std::int64_t whole = layer_replicated();
    if (kind == LayerKind::experts) {
        cut += model.shared_experts * expert_parameters(model);
        whole += router();
    } else {
        cut += h * (up + model.ffn);
    }
    cut += model.bias != LinearBias::none ? qkv : 0;
    cut += model.bias == LinearBias::all ? up : 0;
    return cut / layout.tp + whole;
}

}  // namespace traindyno
