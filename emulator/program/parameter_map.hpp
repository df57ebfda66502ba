// SPDX-License-Identifier: Apache-2.0
// Where each weight lies in a rank's flat parameter array, and its gradient in the same place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/local_shape.hpp"
#include "emulator/program/op.hpp"
#include "emulator/program/sharding.hpp"
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
    Slice up_weight;                     ///< [up_width, h]
    Slice up_bias;                       ///< [up_width]
    Slice down_weight;                   ///< [h, ffn]
    Slice down_bias;                     ///< [h]
    Slice router;                        ///< [experts, h], whole
    Slice shared_up;                     ///< [shared_up_width, h]
    Slice shared_down;                   ///< [h, shared_ffn]
    std::vector<ExpertWeights> experts;  ///< of this rank, behind all others
    std::int64_t common = 0;             ///< elements before the experts, with padding between
    std::int64_t elements = 0;
};

/// What is gathered, reduced and cut by itself where sharding goes by units.
enum class UnitKind : std::uint8_t {
    head,  ///< final norm and output table
    layer,
    embedding,  ///< table and positions; the head's parameters too where they share the table
};

template <>
struct EnumNames<UnitKind> {
    static constexpr auto names = enum_table<UnitKind>("head", "layer", "embedding");
};

struct Unit {
    UnitKind kind = UnitKind::layer;
    std::int64_t layer = 0;  ///< of the stage, 0 first

    friend bool operator==(const Unit&, const Unit&) = default;
};

/// The flat array in the order in which backward completes gradients: output side first, then the
/// layers from last to first, then the input side. In aliased memory all layers of a kind lie in
/// one place. Layers with an MLP come before those with experts.
/// Where sharding goes by units, each has a multiple of Sharding::multiple() elements, without its
/// experts if those are apart, and slices are relative to their unit's base; else only those of
/// layers are.
struct ParameterMap {
    LayerParameters layer;             ///< with an MLP
    LayerParameters expert_layer;      ///< with experts
    std::int64_t layers = 0;           ///< of this stage
    std::int64_t dense_layers = 0;     ///< of them, the first: with an MLP
    std::int64_t dense_stride = 0;     ///< from one layer with an MLP to the one below it
    std::int64_t expert_stride = 0;    ///< likewise, with experts
    std::int64_t output_elements = 0;  ///< before the first layer
    Slice final_norm;                  ///< last stage
    Slice output_table;                ///< last stage: [vocab, h]; `table` when tied on one stage
    Slice table;                       ///< first stage: [vocab, h]
    Slice positions;                   ///< first stage, learned positions: [seq, h]
    std::int64_t embedding_base = 0;   ///< of slices on the input side; 0 unless by units
    UnitKind head_unit = UnitKind::head;  ///< that holds the output side's slices
    std::int64_t resident_dense = 0;      ///< layers with an MLP that have memory of their own
    std::int64_t resident_experts = 0;    ///< and with experts
    std::int64_t elements = 0;            ///< in memory
    std::int64_t parameters = 0;          ///< of the stage, whether they share memory or not
    std::vector<Bucket> buckets;  ///< of all `parameters`, in order; none across units. Where
                                  ///< experts are apart, of all others
    std::vector<Bucket> expert_buckets{};  ///< where they are apart, else none

    /// Base of the stage's `layer`-th layer, 0 first.
    [[nodiscard]] std::int64_t layer_base(std::int64_t layer_of_stage) const {
        return resident(range_of({.kind = UnitKind::layer, .layer = layer_of_stage}).offset);
    }

    [[nodiscard]] LayerKind kind_of(std::int64_t layer_of_stage) const {
        return layer_of_stage < dense_layers ? LayerKind::dense : LayerKind::experts;
    }

    [[nodiscard]] const LayerParameters& of(LayerKind kind) const {
        return kind == LayerKind::dense ? layer : expert_layer;
    }

    [[nodiscard]] std::int64_t stride_of(LayerKind kind) const {
        return kind == LayerKind::dense ? dense_stride : expert_stride;
    }

    /// All layers from `layer_of_stage` on, as if none shared memory.
    [[nodiscard]] std::int64_t from_layer(std::int64_t layer_of_stage) const {
        const std::int64_t left = layers - layer_of_stage;
        const std::int64_t with_experts = std::min(left, layers - dense_layers);
        return with_experts * expert_stride + (left - with_experts) * dense_stride;
    }

    /// The places of layers that share memory, once for each layer beyond the first of its kind.
    [[nodiscard]] std::vector<Bucket> shared_places() const;

    /// How many of the stage's gradients are final once backward has left that unit.
    [[nodiscard]] std::int64_t final_after(const Unit& unit) const;
    /// What is added to the slices of blocks that use the unit, in the flat array.
    [[nodiscard]] std::int64_t base_of(const Unit& unit) const;
    /// The part of `parameters` that the unit is, as if no layers shared memory.
    [[nodiscard]] Bucket range_of(const Unit& unit) const;
    /// The buckets in that part.
    [[nodiscard]] std::span<const Bucket> buckets_of(const Unit& unit) const;
    [[nodiscard]] std::span<const Bucket> expert_buckets_of(const Unit& unit) const;
    /// From a position in `parameters` to where it lies in memory.
    [[nodiscard]] std::int64_t resident(std::int64_t position) const;
};

[[nodiscard]] ParameterMap parameter_map(const Model& model,
                                         const Layout& layout,
                                         const LocalShape& shape,
                                         Stage stage,
                                         MemoryMode memory,
                                         const Sharding& sharding = {});

/// The gradient of the parameters in `weights`.
[[nodiscard]] constexpr Slice gradient_of(Slice weights) {
    weights.space = Space::gradient;
    return weights;
}

}  // namespace traindyno
