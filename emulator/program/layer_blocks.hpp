// SPDX-License-Identifier: Apache-2.0
// Forward and backward of one transformer layer.
#pragma once

#include "emulator/program/arena.hpp"
#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// Where a layer meets its neighbours. Each is [own tokens, h].
struct LayerEnds {
    Slice input;
    Slice output;
    Slice grad_output;
    Slice grad_input;

    friend bool operator==(const LayerEnds&, const LayerEnds&) = default;
};

/// Memory that a block takes for itself: kept from forward to backward, and not.
struct BlockArenas {
    Arena saved{Space::saved};
    Arena scratch{Space::workspace};
};

/// Elements that one layer keeps from forward to its last pass besides its input.
[[nodiscard]] std::int64_t saved_per_layer(const StageContext& stage, LayerKind kind);

/// `arenas` must begin alike for all blocks of a layer: backward reads what forward kept.
[[nodiscard]] Block layer_forward(const StageContext& stage,
                                  LayerKind kind,
                                  const LayerEnds& ends,
                                  BlockArenas& arenas);
[[nodiscard]] Block layer_backward(const StageContext& stage,
                                   LayerKind kind,
                                   const LayerEnds& ends,
                                   BlockArenas& arenas);
/// Gradients of the weights of linear layers and their biases, where backward leaves them out.
[[nodiscard]] Block layer_weights(const StageContext& stage,
                                  LayerKind kind,
                                  const LayerEnds& ends,
                                  BlockArenas& arenas);

}  // namespace traindyno
