// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/replicated_gradients.hpp"

#include <vector>

#include "emulator/program/block_writer.hpp"

namespace traindyno {

namespace {

/// Appends the gradient of `weights`, as one with the last piece where there is no gap between.
void add(std::vector<Slice>& pieces, Slice weights, std::int64_t base) {
    weights.offset += base;
    if (weights.elements == 0) {
        return;
    }
    if (!pieces.empty() && pieces.back().offset + pieces.back().elements == weights.offset) {
        pieces.back().elements += weights.elements;
    } else {
        pieces.push_back(gradient_of(weights));
    }
}

/// Of one unit, from `base` on, in the order of their offsets.
void add_unit(std::vector<Slice>& pieces,
              const ParameterMap& map,
              const Unit& unit,
              std::int64_t base) {
    if (unit.kind == map.head_unit) {
        add(pieces, map.final_norm, base);
    }
    if (unit.kind == UnitKind::layer) {
        const LayerParameters& layer = map.of(map.kind_of(unit.layer));
        for (const Slice& weights :
             {layer.norm1, layer.projection_bias, layer.norm2, layer.router, layer.down_bias}) {
            add(pieces, weights, base);
        }
    }
}

std::vector<Slice> pieces_of(const StageContext& stage) {
    const ParameterMap& map = stage.parameters;
    std::vector<Slice> pieces;
    const Unit head{.kind = map.head_unit};
    add_unit(pieces, map, head, map.base_of(head));
    for (std::int64_t layer = map.layers - 1; layer >= 0; --layer) {
        add_unit(pieces, map, {.kind = UnitKind::layer, .layer = layer}, map.layer_base(layer));
    }
    return pieces;
}

}  // namespace

std::int64_t replicated_gradients(const StageContext& stage) {
    std::int64_t elements = 0;
    if (stage.sequence_parallel()) {
        for (const Slice& piece : pieces_of(stage)) {
            elements += piece.elements;
        }
    }
    return elements;
}

Block reduce_replicated_gradients(const StageContext& stage, const Slice& packed) {
    BlockWriter block("reduce_replicated", Phase::optimizer, stage);
    const std::vector<Slice> pieces = pieces_of(stage);
    Slice place{.space = packed.space, .offset = packed.offset, .elements = 0};
    const auto next_place = [&place](const Slice& piece) {
        place.offset += place.elements;
        place.elements = piece.elements;
        return place;
    };
    for (const Slice& piece : pieces) {
        block.elementwise(ElementwiseKind::copy, 1, piece.elements, {piece}, {next_place(piece)});
    }
    After reduced = block.all_reduce_over_tp(packed);
    place = {.space = packed.space, .offset = packed.offset, .elements = 0};
    for (const Slice& piece : pieces) {
        block.elementwise(
            ElementwiseKind::copy, 1, piece.elements, {next_place(piece)}, {piece}, reduced);
        reduced.clear();
    }
    return block.take();
}

Block reduce_replicated_gradients(const StageContext& stage, const Unit& unit) {
    std::vector<Slice> pieces;
    add_unit(pieces, stage.parameters, unit, 0);
    BlockWriter block("reduce_replicated_unit", Phase::backward, stage);
    for (const Slice& piece : pieces) {
        block.all_reduce_over_tp(piece);
    }
    return block.take();
}

}  // namespace traindyno
