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
              UnitKind kind,
              std::int64_t base) {
    if (kind == map.head_unit) {
        add(pieces, map.final_norm, base);
    }
    if (kind == UnitKind::layer) {
        for (const Slice& weights :
             {map.layer.norm1, map.layer.projection_bias, map.layer.norm2, map.layer.down_bias}) {
            add(pieces, weights, base);
        }
    }
}

std::vector<Slice> pieces_of(const StageContext& stage) {
    const ParameterMap& map = stage.parameters;
    std::vector<Slice> pieces;
    add_unit(pieces, map, map.head_unit, map.base_of({.kind = map.head_unit}));
    for (std::int64_t layer = map.layers - 1; layer >= 0; --layer) {
        add_unit(pieces, map, UnitKind::layer, map.layer_base(layer));
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

Block reduce_replicated_gradients(const StageContext& stage, UnitKind kind) {
    std::vector<Slice> pieces;
    add_unit(pieces, stage.parameters, kind, 0);
    BlockWriter block("reduce_replicated_unit", Phase::backward, stage);
    for (const Slice& piece : pieces) {
        block.all_reduce_over_tp(piece);
    }
    return block.take();
}

}  // namespace traindyno
