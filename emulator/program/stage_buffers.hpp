// SPDX-License-Identifier: Apache-2.0
// Where a stage keeps its activations and what it exchanges with its neighbours.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/program/layer_blocks.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Saved space is one slot per micro-batch in flight; a slot holds, layer by layer, the layer's
/// input and what it keeps for backward; on the last stage the head's input follows. In aliased
/// memory a slot holds one such record, which every layer writes anew. Buffers that
/// communication uses beside compute are rings in workspace, indexed by micro-batch: while one is
/// in use by the network, compute uses the next.
class StageBuffers {
  public:
    StageBuffers(const StageContext& stage,
                 const Layout& layout,
                 const TrainingSetup& setup,
                 Stage position,
                 std::int64_t micro_batches);

    [[nodiscard]] LayerEnds ends_of(std::int64_t layer, std::int64_t micro_batch) const;
    [[nodiscard]] std::int64_t saved_base(std::int64_t layer, std::int64_t micro_batch) const;
    /// Arenas for what the blocks of a layer with these ends take.
    [[nodiscard]] BlockArenas arenas_of(const LayerEnds& ends) const;

    /// Arena for scratch of other blocks.
    [[nodiscard]] Arena scratch() const { return scratch_; }

    /// Gradient on its way between layers, head and embedding.
    [[nodiscard]] const Slice& gradient() const { return gradient_; }

    // How many micro-batches later a boundary buffer is used again.
    [[nodiscard]] std::int64_t input_reuse() const;

    [[nodiscard]] std::int64_t output_reuse() const { return size(outputs_); }

    [[nodiscard]] std::int64_t grad_output_reuse() const { return size(grad_outputs_); }

    [[nodiscard]] std::int64_t grad_input_reuse() const { return size(grad_inputs_); }

    [[nodiscard]] std::int64_t saved_extent() const { return slots_ * slot_; }

  private:
    using Ring = std::vector<Slice>;

    [[nodiscard]] static std::int64_t size(const Ring& ring) {
        return static_cast<std::int64_t>(ring.size());
    }

    [[nodiscard]] static const Slice& at(const Ring& ring, std::int64_t micro_batch) {
        return ring[static_cast<std::size_t>(micro_batch % size(ring))];
    }

    /// Whether the layer's record lacks its input, which a ring holds instead.
    [[nodiscard]] bool input_in_ring(std::int64_t layer) const {
        return layer == 0 && !inputs_.empty();
    }

    std::int64_t activation_;  ///< elements of an [own tokens, h] activation
    std::int64_t layers_;
    MemoryMode memory_;
    std::int64_t slots_;
    std::int64_t layer_stride_ = 0;  ///< a layer's input and what it keeps
    std::int64_t slot_ = 0;
    Arena scratch_{Space::workspace};
    Slice gradient_;
    Ring inputs_;        ///< empty where the received input lies in its slot
    Ring outputs_;       ///< empty on the last stage
    Ring grad_outputs_;  ///< empty on the last stage
    Ring grad_inputs_;   ///< empty on the first stage
};

}  // namespace traindyno
