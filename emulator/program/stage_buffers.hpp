// SPDX-License-Identifier: Apache-2.0
// Where a stage keeps its activations and what it exchanges with its neighbours.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "emulator/program/buffer_rotation.hpp"
#include "emulator/program/layer_blocks.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

/// Saved space is one slot per visit in flight; a slot holds, layer by layer, the layer's input and
/// what it keeps for backward and weight gradients; on the last stage the head's input follows, and
/// with weight gradients deferred the gradient of the last layer's output. In aliased memory a slot
/// holds one such record, which every layer writes anew. Buffers that communication uses beside
/// compute are rings in workspace: while one is in use by the network, compute uses the next. With
/// several chunks, inputs are received into slots, of which one more than in flight exists then.
class StageBuffers {
  public:
    StageBuffers(const StageContext& stage,
                 const Pipeline& pipeline,
                 const TrainingSetup& setup,
                 Stage position,
                 std::vector<ModelChunk> chunks);

    /// `layer` counts the layers of the visit's chunk.
    [[nodiscard]] LayerEnds ends_of(const Visit& visit, std::int64_t layer) const;
    [[nodiscard]] std::int64_t saved_base(const Visit& visit, std::int64_t layer) const;
    /// Arenas for what the blocks of a layer with these ends take.
    [[nodiscard]] BlockArenas arenas_of(const LayerEnds& ends) const;

    /// Arena for scratch of other blocks.
    [[nodiscard]] Arena scratch() const { return scratch_; }

    /// Gradient on its way between layers and embedding.
    [[nodiscard]] const Slice& gradient() const { return gradient_; }

    // The visit that used the same buffer before.
    [[nodiscard]] const BufferUse& slot_of(const Visit& visit) const { return slot_.of(visit); }

    [[nodiscard]] const BufferUse& input_of(const Visit& visit) const { return input_.of(visit); }

    [[nodiscard]] const BufferUse& output_of(const Visit& visit) const { return output_.of(visit); }

    [[nodiscard]] const BufferUse& grad_output_of(const Visit& visit) const {
        return grad_output_.of(visit);
    }

    [[nodiscard]] const BufferUse& grad_input_of(const Visit& visit) const {
        return grad_input_.of(visit);
    }

    /// Whether what a visit receives lies in its slot.
    [[nodiscard]] bool input_in_slot() const { return inputs_.empty(); }

    [[nodiscard]] bool gradient_in_slot() const { return deferred_; }

    [[nodiscard]] std::int64_t saved_extent() const { return slots_ * slot_size_; }

  private:
    using Ring = std::vector<Slice>;

    [[nodiscard]] Ring take_ring(std::int64_t count);
    void take_rings(const TrainingSetup& setup, std::int64_t visits);
    [[nodiscard]] bool passes_gradients() const;
    void rotate();
    [[nodiscard]] std::int64_t largest_slot() const;
    [[nodiscard]] bool feeds(std::int64_t chunk) const;
    [[nodiscard]] bool is_fed(std::int64_t chunk) const;
    [[nodiscard]] Slice received_gradient(const Visit& visit, const Slice& output) const;
    /// What the layers of the chunk before its `layer`-th have in a slot.
    [[nodiscard]] std::int64_t before(std::int64_t chunk, std::int64_t layer) const;
    /// Whether the layer's record lacks its input, which a ring holds instead.
    [[nodiscard]] bool input_in_ring(std::int64_t layer) const;

    Pipeline pipeline_;
    Stage position_;
    std::vector<ModelChunk> chunks_;
    std::int64_t activation_;  ///< elements of an [own tokens, h] activation
    MemoryMode memory_;
    bool deferred_;  ///< weight gradients run after the backward
    std::int64_t slots_ = 0;
    std::int64_t dense_layers_;       ///< the first ones, of the stage
    std::int64_t dense_stride_ = 0;   ///< the input of a layer with an MLP and what it keeps
    std::int64_t expert_stride_ = 0;  ///< likewise, with experts
    std::int64_t slot_size_ = 0;
    Arena scratch_{Space::workspace};
    Slice gradient_;
    Ring inputs_;        ///< empty where the received input lies in its slot
    Ring outputs_;       ///< empty where nothing is sent on
    Ring grad_outputs_;  ///< empty where nothing is received, or into slots
    Ring grad_inputs_;   ///< empty where nothing is sent back
    BufferRotation slot_;
    BufferRotation input_;
    BufferRotation output_;
    BufferRotation grad_output_;
    BufferRotation grad_input_;
};

}  // namespace traindyno
