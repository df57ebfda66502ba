// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/stage_buffers.hpp"

#include <algorithm>

#include "emulator/program/schedule.hpp"

namespace traindyno {

StageBuffers::StageBuffers(const StageContext& stage,
                           const Layout& layout,
                           const TrainingSetup& setup,
                           Stage position,
                           std::int64_t micro_batches)
    : activation_(stage.shape.own_tokens * stage.shape.hidden),
      layers_(stage.shape.layers),
      memory_(setup.memory),
      slots_(in_flight(setup.schedule, micro_batches, layout.pp, position)) {
    const bool first = position.value() == 0;
    const bool last = position.value() == layout.pp - 1;
    const bool overlap = setup.overlap_p2p == Overlap::on;
    const std::int64_t depth = overlap ? std::min<std::int64_t>(2, micro_batches) : 1;
    const auto ring = [this](std::int64_t count) {
        Ring buffers;
        for (std::int64_t i = 0; i < count; ++i) {
            buffers.push_back(scratch_.take(activation_));
        }
        return buffers;
    };
    gradient_ = scratch_.take(activation_);
    // The next input may arrive while backward still uses the slot that the micro-batch will take.
    inputs_ = ring(overlap && !first && micro_batches > slots_ ? slots_ + 1 : 0);
    outputs_ = ring(last ? 0 : depth);
    grad_outputs_ = ring(last ? 0 : depth);
    grad_inputs_ = ring(first ? 0 : depth);

    const std::int64_t input = aligned(activation_);
    layer_stride_ = input + saved_per_layer(stage);
    slot_ = memory_ == MemoryMode::aliased
                ? layer_stride_ + input  // one layer's record, and the output that follows it
                : layers_ * layer_stride_ + (last ? input : 0) - (inputs_.empty() ? 0 : input);
}

LayerEnds StageBuffers::ends_of(std::int64_t layer, std::int64_t micro_batch) const {
    const bool top = layer == layers_ - 1;
    const Slice saved{.space = Space::saved, .offset = 0, .elements = activation_};
    Slice next = saved;
    next.offset = layer_stride_ - (input_in_ring(layer) ? aligned(activation_) : 0);
    return {
        .input = input_in_ring(layer) ? at(inputs_, micro_batch) : saved,
        .output = top && !outputs_.empty() ? at(outputs_, micro_batch) : next,
        .grad_output = top && !grad_outputs_.empty() ? at(grad_outputs_, micro_batch) : gradient_,
        .grad_input =
            layer == 0 && !grad_inputs_.empty() ? at(grad_inputs_, micro_batch) : gradient_};
}

std::int64_t StageBuffers::saved_base(std::int64_t layer, std::int64_t micro_batch) const {
    if (memory_ == MemoryMode::aliased) {
        return micro_batch % slots_ * slot_;
    }
    const std::int64_t missing = layer > 0 && !inputs_.empty() ? aligned(activation_) : 0;
    return micro_batch % slots_ * slot_ + layer * layer_stride_ - missing;
}

BlockArenas StageBuffers::arenas_of(const LayerEnds& ends) const {
    const bool input_saved = ends.input.space == Space::saved;
    return {.saved = Arena(Space::saved, input_saved ? aligned(activation_) : 0),
            .scratch = scratch_};
}

std::int64_t StageBuffers::input_reuse() const {
    return inputs_.empty() ? slots_ : size(inputs_);
}

}  // namespace traindyno
