// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/stage_buffers.hpp"

#include <algorithm>
#include <utility>

namespace traindyno {

namespace {

const Slice& at(const std::vector<Slice>& ring, const BufferUse& use) {
    return ring[static_cast<std::size_t>(use.index)];
}

std::int64_t size(const std::vector<Slice>& ring) {
    return static_cast<std::int64_t>(ring.size());
}

}  // namespace

StageBuffers::StageBuffers(const StageContext& stage,
                           const Pipeline& pipeline,
                           const TrainingSetup& setup,
                           Stage position,
                           std::vector<ModelChunk> chunks)
    : pipeline_(pipeline),
      position_(position),
      chunks_(std::move(chunks)),
      activation_(stage.shape.own_tokens * stage.shape.hidden),
      memory_(setup.memory),
      deferred_(stage.weight_gradients == WeightGradients::deferred),
      slots_(in_flight(pipeline, position)),
      dense_layers_(stage.parameters.dense_layers) {
    const std::int64_t visits = pipeline.micro_batches * pipeline.chunks;
    take_rings(setup, visits);
    if (pipeline.chunks > 1 && setup.overlap_p2p == Overlap::on) {
        slots_ = std::min(slots_ + 1, visits);
    }
    if (dense_layers_ > 0) {
        dense_stride_ = aligned(activation_) + saved_per_layer(stage, LayerKind::dense);
    }
    if (dense_layers_ < stage.shape.layers) {
        expert_stride_ = aligned(activation_) + saved_per_layer(stage, LayerKind::experts);
    }
    slot_size_ = largest_slot();
    rotate();
}

StageBuffers::Ring StageBuffers::take_ring(std::int64_t count) {
    Ring ring;
    for (std::int64_t i = 0; i < count; ++i) {
        ring.push_back(scratch_.take(activation_));
    }
    return ring;
}

void StageBuffers::take_rings(const TrainingSetup& setup, std::int64_t visits) {
    const bool overlap = setup.overlap_p2p == Overlap::on;
    const std::int64_t depth = overlap ? std::min<std::int64_t>(2, visits) : 1;
    const bool sends = feeds(0);
    const bool receives = is_fed(pipeline_.chunks - 1);
    const std::int64_t waiting = awaiting_backward(pipeline_, position_);
    gradient_ = scratch_.take(passes_gradients() ? activation_ : 0);
    // The next input may arrive while backward still uses the slot that the micro-batch will take.
    const bool ahead = overlap && pipeline_.chunks == 1 && receives && visits > waiting;
    inputs_ = take_ring(ahead ? waiting + 1 : 0);
    outputs_ = take_ring(sends ? depth : 0);
    grad_outputs_ = take_ring(sends && !deferred_ ? depth : 0);
    grad_inputs_ = take_ring(receives ? depth : 0);
}

/// Whether some gradient stays on the stage and has no place of its own.
bool StageBuffers::passes_gradients() const {
    bool passes = false;
    for (std::int64_t chunk = 0; chunk < pipeline_.chunks; ++chunk) {
        const bool inside = chunks_[static_cast<std::size_t>(chunk)].layers > 1 || !feeds(chunk);
        passes = passes || !is_fed(chunk) || (inside && !deferred_);
    }
    return passes;
}

void StageBuffers::rotate() {
    const std::vector<Pass> passes = passes_of(pipeline_, position_);
    const auto rotation = [&](Lifetime lifetime, std::int64_t count, auto&& uses) {
        return count > 0 ? BufferRotation(passes, pipeline_, lifetime, count, uses)
                         : BufferRotation();
    };
    const auto all = [](std::int64_t) { return true; };
    const auto fed = [this](std::int64_t chunk) { return is_fed(chunk); };
    const auto feeding = [this](std::int64_t chunk) { return feeds(chunk); };
    const Direction last = deferred_ ? Direction::weights : Direction::backward;
    slot_ = rotation({Direction::forward, last}, slots_, all);
    input_ = rotation({Direction::forward, Direction::backward}, size(inputs_), fed);
    output_ = rotation({Direction::forward, Direction::forward}, size(outputs_), feeding);
    grad_output_ =
        rotation({Direction::backward, Direction::backward}, size(grad_outputs_), feeding);
    grad_input_ = rotation({Direction::backward, Direction::backward}, size(grad_inputs_), fed);
}

bool StageBuffers::feeds(std::int64_t chunk) const {
    return pipeline_.has_next(position_, chunk);
}

bool StageBuffers::is_fed(std::int64_t chunk) const {
    return has_previous(position_, chunk);
}

std::int64_t StageBuffers::before(std::int64_t chunk, std::int64_t layer) const {
    const std::int64_t first = chunks_[static_cast<std::size_t>(chunk)].first_of_stage;
    const std::int64_t dense =
        std::min(first + layer, dense_layers_) - std::min(first, dense_layers_);
    return dense * dense_stride_ + (layer - dense) * expert_stride_;
}

bool StageBuffers::input_in_ring(std::int64_t layer) const {
    return layer == 0 && !inputs_.empty();
}

std::int64_t StageBuffers::largest_slot() const {
    const std::int64_t activation = aligned(activation_);
    const std::int64_t gradient = deferred_ ? activation : 0;
    if (memory_ == MemoryMode::aliased) {
        // One layer's record, and the output that follows it.
        return std::max(dense_stride_, expert_stride_) + activation + gradient;
    }
    std::int64_t largest = 0;
    for (std::int64_t chunk = 0; chunk < pipeline_.chunks; ++chunk) {
        largest = std::max(largest, before(chunk, chunks_[static_cast<std::size_t>(chunk)].layers));
    }
    const std::int64_t head = feeds(pipeline_.chunks - 1) ? 0 : activation;
    return largest + head + gradient - (inputs_.empty() ? 0 : activation);
}

/// With weight gradients deferred, the gradient of an activation inside a chunk takes the place of
/// the activation, which nothing reads any more.
LayerEnds StageBuffers::ends_of(const Visit& visit, std::int64_t layer) const {
    const bool top = layer == chunks_[static_cast<std::size_t>(visit.chunk)].layers - 1;
    const bool sends = top && feeds(visit.chunk);
    const bool receives = layer == 0 && is_fed(visit.chunk);
    const Slice saved{.space = Space::saved, .offset = 0, .elements = activation_};
    Slice next = saved;
    next.offset = before(visit.chunk, layer + 1) - before(visit.chunk, layer) -
                  (input_in_ring(layer) ? aligned(activation_) : 0);
    LayerEnds ends{.input = input_in_ring(layer) ? at(inputs_, input_.of(visit)) : saved,
                   .output = sends ? at(outputs_, output_.of(visit)) : next,
                   .grad_output = deferred_ && !top ? next : gradient_,
                   .grad_input = deferred_ && layer > 0 ? saved : gradient_};
    if (top && (deferred_ || sends)) {
        ends.grad_output = received_gradient(visit, next);
    }
    if (receives) {
        ends.grad_input = at(grad_inputs_, grad_input_.of(visit));
    }
    return ends;
}

/// Of the output that lies at `output`, were it kept.
Slice StageBuffers::received_gradient(const Visit& visit, const Slice& output) const {
    if (!deferred_) {
        return at(grad_outputs_, grad_output_.of(visit));
    }
    Slice gradient = output;
    gradient.offset +=
        feeds(visit.chunk) && memory_ == MemoryMode::faithful ? 0 : aligned(activation_);
    return gradient;
}

std::int64_t StageBuffers::saved_base(const Visit& visit, std::int64_t layer) const {
    const std::int64_t slot = slot_.of(visit).index * slot_size_;
    if (memory_ == MemoryMode::aliased) {
        return slot;
    }
    const std::int64_t missing = layer > 0 && !inputs_.empty() ? aligned(activation_) : 0;
    return slot + before(visit.chunk, layer) - missing;
}

BlockArenas StageBuffers::arenas_of(const LayerEnds& ends) const {
    const bool input_saved = ends.input.space == Space::saved;
    return {.saved = Arena(Space::saved, input_saved ? aligned(activation_) : 0),
            .scratch = scratch_};
}

}  // namespace traindyno
