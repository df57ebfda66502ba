// SPDX-License-Identifier: Apache-2.0
#include "tests/support/context_layer.hpp"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "emulator/device/random_values.hpp"

namespace traindyno::test {

namespace {

std::span<float> floats(Device& device, const StepProgram& program, Space space) {
    const Slice all{.space = space, .offset = 0, .elements = extent_of(program.extents, space)};
    return {reinterpret_cast<float*>(device.memory(all, {}).data()),
            static_cast<std::size_t>(all.elements)};
}

void fill_random(std::span<float> values, std::uint32_t seed, float deviation) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = normal_value(seed, static_cast<std::uint32_t>(i), deviation);
    }
}

const Elementwise& elementwise_at(const Block& block, std::size_t index) {
    return std::get<Elementwise>(std::get<ComputeOp>(block.ops.at(index).op));
}

}  // namespace

ContextLayer::ContextLayer(const Parts& parts, WorldRank rank)
    : parts_(parts), position_(coordinates_of(parts.layout, rank).cp) {
    const TrainingSetup setup{.micro_batch = parts.batch,
                              .global_batch = parts.batch,
                              .recompute = parts.recompute,
                              .context_exchange = parts.exchange,
                              .context_balance = parts.balance};
    program_ = build_step(parts.model, parts.layout, setup, rank);
    std::vector<Task> tasks;
    for (Task task : program_.tasks) {
        if (program_.blocks[task.block.index()].name.starts_with("layer_")) {
            task.after.clear();
            tasks.push_back(std::move(task));
        }
    }
    program_.tasks = std::move(tasks);
    // The first operation normalises the input, the last adds the output up; backward begins with
    // the gradient of the last product, behind what is recomputed.
    const Block& forward = program_.blocks[program_.tasks.at(0).block.index()];
    const Block& backward = program_.blocks[program_.tasks.at(1).block.index()];
    input_ = elementwise_at(forward, 0).reads.at(0);
    output_ = elementwise_at(forward, forward.ops.size() - 1).writes.at(0);
    grad_input_ = elementwise_at(backward, backward.ops.size() - 1).writes.at(0);
    const auto first = std::find_if(backward.ops.begin(),
                                    backward.ops.end(),
                                    [](const BlockOp& op) { return op.phase == Phase::backward; });
    grad_output_ = std::get<MatMul>(std::get<ComputeOp>(first->op)).a;
}

void ContextLayer::fill(Device& device) const {
    fill_random(floats(device, program_, Space::parameter), 5, 0.3F);
    for (const Space space : {Space::workspace, Space::saved}) {
        fill_random(floats(device, program_, space), 99, 1.0F);
    }
    std::ranges::fill(floats(device, program_, Space::gradient), 0.0F);
    for (const auto& [slice, seed] : {std::pair(input_, 1U), std::pair(grad_output_, 2U)}) {
        for_each_value(device, slice, [seed = seed](float& value, std::size_t index) {
            value = normal_value(seed, static_cast<std::uint32_t>(index), 1.0F);
        });
    }
}

void ContextLayer::collect(Device& device, LayerResult& result) const {
    const auto values =
        static_cast<std::size_t>(parts_.batch * parts_.model.seq * parts_.model.hidden);
    result.output.resize(values);
    result.grad_input.resize(values);
    for_each_value(
        device, output_, [&](float value, std::size_t index) { result.output[index] = value; });
    for_each_value(device, grad_input_, [&](float value, std::size_t index) {
        result.grad_input[index] = value;
    });
    const std::span<float> own = floats(device, program_, Space::gradient);
    result.gradients.resize(own.size());
    std::ranges::transform(result.gradients, own, result.gradients.begin(), std::plus<>{});
}

/// Calls visit(value, its index among those of all tokens) over a [t, h] slice.
template <class Visit>
void ContextLayer::for_each_value(Device& device, const Slice& slice, const Visit& visit) const {
    const std::span<float> all = floats(device, program_, slice.space);
    const std::int64_t first = program_.tasks.front().base_of(slice.space) + slice.offset;
    const std::int64_t hidden = parts_.model.hidden;
    for (std::int64_t i = 0; i < slice.elements; ++i) {
        visit(all[static_cast<std::size_t>(first + i)],
              static_cast<std::size_t>(token_of(i / hidden) * hidden + i % hidden));
    }
}

/// Sequence and position of a row, as an index into all tokens.
std::int64_t ContextLayer::token_of(std::int64_t row) const {
    const std::int64_t cp = parts_.layout.cp;
    const std::int64_t own = parts_.model.seq / cp;
    const std::int64_t in_part = row % own;
    std::int64_t position = position_ * own + in_part;
    if (parts_.balance == ContextBalance::zigzag && cp > 1) {
        const std::int64_t half = own / 2;
        const std::int64_t part = in_part < half ? position_ : 2 * cp - 1 - position_;
        position = part * half + in_part % half;
    }
    return row / own * parts_.model.seq + position;
}

}  // namespace traindyno::test
