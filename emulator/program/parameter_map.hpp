// SPDX-License-Identifier: Apache-2.0
// Where each weight lies in a rank's flat parameter array, and its gradient in the same place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/local_shape.hpp"
#include "emulator/program/op.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Weights of one expert.
struct ExpertWeights {
    Slice up;    ///< [expert_up_width, h]
    Slice down;  ///< [h, expert_ffn]
};

/// Weights of one layer, relative to the layer's base. Absent ones have no elements: a layer with
/// experts has no up and down of its own.
struct LayerParameters {
    Slice norm1;              ///< scale [h], then shift [h] of a layernorm
    Slice qkv_weight;         ///< [qkv_width, h], cut by columns of the output
    Slice qkv_bias;           ///< [qkv_width]
    Slice projection_weight;  ///< [h, attention_width], cut by rows of the input
    Slice projection_bias;    ///< [h]
    Slice norm2;
    Slice up_weight;    ///< [up_width, h]
    Slice up_bias;      ///< [up_width]
    Slice down_weight;  ///< [h, ffn]
    Slice down_bias;    ///< [h]
    Slice router;       ///< [experts, h], whole
    Slice shared_up;    ///< [shared_up_width, h]
    Slice shared_down;  ///< [h, shared_ffn]
    std::vector<ExpertWeights> experts;  ///< of this rank, behind all others
    std::int64_t common = 0;             ///< elements before the experts
    std::int64_t elements = 0;
};

/// The flat array in the order in which backward completes gradients: output side first, then the
/// layers from last to first, then the input side. In aliased memory all layers of a kind lie in one
/// place. Layers with an MLP come before those with experts.
struct ParameterMap {
    LayerParameters layer;             ///< with an MLP
    LayerParameters expert_layer;      ///< with experts
    std::int64_t layers = 0;           ///< of this stage
    std::int64_t dense_layers = 0;     ///< of them, the first ones: with an MLP
    std::int64_t output_elements = 0;  ///< final norm and output table, at the front
    Slice final_norm;                  ///< last stage
    Slice output_table;                ///< last stage: [vocab, h]; `table` when tied on one stage
    Slice table;                       ///< first stage: [vocab, h]
    Slice positions;                   ///< first stage, learned positions: [seq, h]
    std::int64_t resident_dense = 0;    ///< layers with an MLP that have memory of their own
    std::int64_t resident_experts = 0;  ///< and with experts
    std::int64_t elements = 0;         ///< in memory
    std::int64_t parameters = 0;       ///< of the stage, whether they share memory or not

    /// Base of the stage's `layer`-th layer, 0 first.
    [[nodiscard]] std::int64_t layer_base(std::int64_t layer_of_stage) const {
        const std::int64_t later = layers - 1 - layer_of_stage;
        if (kind_of(layer_of_stage) == LayerKind::experts) {
            return output_elements + std::min(later, resident_experts - 1) * expert_layer.elements;
        }
        return output_elements + resident_experts * expert_layer.elements +
               std::min(later - expert_layers(), resident_dense - 1) * layer.elements;
    }

    /// How many of the stage's gradients are final once backward has left that layer.
    [[nodiscard]] std::int64_t final_after(std::int64_t layer_of_stage) const {
        const std::int64_t left = layers - layer_of_stage;
        const std::int64_t with_experts = std::min(left, expert_layers());
        return output_elements + with_experts * expert_layer.elements +
               (left - with_experts) * layer.elements;
    }

    [[nodiscard]] std::int64_t expert_layers() const { return layers - dense_layers; }

    [[nodiscard]] LayerKind kind_of(std::int64_t layer_of_stage) const {
        return layer_of_stage < dense_layers ? LayerKind::dense : LayerKind::experts;
    }

    [[nodiscard]] const LayerParameters& of(LayerKind kind) const {
        return kind == LayerKind::dense ? layer : expert_layer;
    }
};

[[nodiscard]] ParameterMap parameter_map(const Model& model,
                                         const Layout& layout,
                                         const LocalShape& shape,
                                         Stage stage,
                                         MemoryMode memory);

/// The gradient of the parameters in `weights`.
[[nodiscard]] constexpr Slice gradient_of(Slice weights) {
    weights.space = Space::gradient;
    return weights;
}

}  // namespace traindyno
