// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/block_writer.hpp"

namespace traindyno {

void BlockWriter::compute(const ComputeOp& op, const After& after) {
    block_.ops.push_back({.op = op, .lane = Lane::compute, .phase = phase_, .after = after});
}

void BlockWriter::elementwise(ElementwiseKind kind,
                              std::int64_t rows,
                              std::int64_t columns,
                              std::vector<Slice> reads,
                              std::vector<Slice> writes,
                              const After& after) {
    compute(Elementwise{.kind = kind,
                        .rows = rows,
                        .columns = columns,
                        .reads = std::move(reads),
                        .writes = std::move(writes)},
            after);
}

After BlockWriter::communicate(Lane lane, const CommOp& op) {
    const auto position = static_cast<std::uint32_t>(block_.ops.size());
    After before;
    if (position > 0 && block_.ops.back().lane != lane) {
        before.push_back(position - 1);
    }
    block_.ops.push_back({.op = op, .lane = lane, .phase = phase_, .after = std::move(before)});
    return {position};
}

After BlockWriter::all_reduce_over_tp(const Slice& buffer, Reduction reduction) {
    if (!stage_.tp) {
        return {};
    }
    return communicate(Lane::tp,
                       all_reduce_in_place(*stage_.tp,
                                           buffer,
                                           dtype_of(buffer.space, stage_.storage, stage_.gradient),
                                           reduction));
}

void BlockWriter::column_parallel_forward(const BiasedLinear& layer,
                                          const Slice& x,
                                          const Slice& y) {
    compute(forward(layer.linear, x, y));
    add_bias(layer, y, {});
}

After BlockWriter::row_parallel_forward(const BiasedLinear& layer, const Slice& x, const Slice& y) {
    compute(forward(layer.linear, x, y));
    const After reduced = all_reduce_over_tp(y);
    add_bias(layer, y, reduced);
    return layer.bias.elements > 0 ? After{} : reduced;
}

After BlockWriter::column_parallel_backward(const BiasedLinear& layer,
                                            const Slice& x,
                                            const Slice& dy,
                                            const Slice& dx) {
    compute(input_gradient(layer.linear, dy, dx));
    After reduced = all_reduce_over_tp(dx);
    if (weight_gradients_ == WeightGradients::at_once) {
        weight_and_bias_gradients(layer, x, dy);
    }
    return reduced;
}

void BlockWriter::row_parallel_backward(const BiasedLinear& layer,
                                        const Slice& x,
                                        const Slice& dy,
                                        const Slice& dx) {
    compute(input_gradient(layer.linear, dy, dx));
    if (weight_gradients_ == WeightGradients::at_once) {
        weight_and_bias_gradients(layer, x, dy);
    }
}

void BlockWriter::add_bias(const BiasedLinear& layer, const Slice& y, const After& after) {
    if (layer.bias.elements > 0) {
        elementwise(ElementwiseKind::bias_add,
                    layer.linear.tokens,
                    layer.linear.out,
                    {y, layer.bias},
                    {y},
                    after);
    }
}

void BlockWriter::weight_and_bias_gradients(const BiasedLinear& layer,
                                            const Slice& x,
                                            const Slice& dy) {
    compute(weight_gradient(layer.linear, x, dy));
    if (layer.bias.elements > 0) {
        elementwise(ElementwiseKind::bias_gradient,
                    layer.linear.tokens,
                    layer.linear.out,
                    {dy},
                    {gradient_of(layer.bias)});
    }
}

}  // namespace traindyno
