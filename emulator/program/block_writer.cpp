// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/block_writer.hpp"

#include <algorithm>

#include "emulator/program/slice_parts.hpp"

namespace traindyno {

namespace {

/// The layer for so many rows.
BiasedLinear rows_of(BiasedLinear layer, std::int64_t tokens) {
    layer.linear.tokens = tokens;
    return layer;
}

/// Rows of chunk `index` of `count`.
MatMul input_gradient_of_chunk(const BiasedLinear& layer,
                               const Slice& dy,
                               const Slice& dx,
                               std::int64_t index,
                               std::int64_t count) {
    return input_gradient(rows_of(layer, layer.linear.tokens / count).linear,
                          piece_of(dy, index, count),
                          piece_of(dx, index, count));
}

}  // namespace

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

void BlockWriter::activation_forward(std::int64_t rows,
                                     std::int64_t columns,
                                     const Slice& up,
                                     const Slice& activated) {
    const bool gated = stage_.mlp == Mlp::swiglu;
    elementwise(gated ? ElementwiseKind::swiglu_forward : ElementwiseKind::gelu_forward,
                rows,
                columns,
                {up},
                {activated});
}

void BlockWriter::activation_backward(std::int64_t rows,
                                      std::int64_t columns,
                                      const std::vector<Slice>& reads,
                                      const Slice& dup) {
    const bool gated = stage_.mlp == Mlp::swiglu;
    elementwise(gated ? ElementwiseKind::swiglu_backward : ElementwiseKind::gelu_backward,
                rows,
                columns,
                reads,
                {dup});
}

After BlockWriter::communicate(Lane lane, const CommOp& op, const After& after) {
    const auto position = static_cast<std::uint32_t>(block_.ops.size());
    const auto is_in = [](const After& list, std::uint32_t op_before) {
        return std::find(list.begin(), list.end(), op_before) != list.end();
    };
    std::uint32_t count = position;  // of operations, of which the last is waited for
    while (count > 0 && is_in(aside_, count - 1)) {
        --count;
    }
    After before = after;
    if (count > 0 && block_.ops[count - 1].lane != lane && !is_in(after, count - 1)) {
        before.push_back(count - 1);
    }
    block_.ops.push_back({.op = op, .lane = lane, .phase = phase_, .after = std::move(before)});
    return {position};
}

void BlockWriter::set_aside(const After& traffic) {
    aside_.insert(aside_.end(), traffic.begin(), traffic.end());
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

std::vector<After> BlockWriter::gather_over_tp(const TokenRows& x) {
    const std::int64_t chunks = stage_.shape.chunks;
    std::vector<After> gathered(static_cast<std::size_t>(chunks));
    if (!stage_.sequence_parallel()) {
        return gathered;
    }
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        gathered[static_cast<std::size_t>(chunk)] =
            communicate(Lane::tp,
                        Collective{.kind = CollectiveKind::all_gather,
                                   .group = *stage_.tp,
                                   .input = piece_of(x.own, chunk, chunks),
                                   .output = piece_of(x.all, chunk, chunks),
                                   .dtype = dtype_of(x.all.space, stage_.storage)});
    }
    return gathered;
}

After BlockWriter::reduce_over_tp(const TokenRows& y) {
    After reduced;
    for (std::int64_t chunk = 0; chunk < stage_.shape.chunks; ++chunk) {
        reduced = reduce_chunk(y, chunk);
    }
    return reduced;
}

After BlockWriter::reduce_chunk(const TokenRows& y, std::int64_t chunk) {
    if (!stage_.sequence_parallel()) {
        return all_reduce_over_tp(y.all);
    }
    return communicate(Lane::tp,
                       Collective{.kind = CollectiveKind::reduce_scatter,
                                  .group = *stage_.tp,
                                  .input = piece_of(y.all, chunk, stage_.shape.chunks),
                                  .output = piece_of(y.own, chunk, stage_.shape.chunks),
                                  .dtype = dtype_of(y.all.space, stage_.storage)});
}

void BlockWriter::column_parallel_forward(const BiasedLinear& layer,
                                          const TokenRows& x,
                                          const Slice& y) {
    const std::int64_t chunks = stage_.shape.chunks;
    const std::vector<After> gathered = gather_over_tp(x);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        const BiasedLinear part = rows_of(layer, layer.linear.tokens / chunks);
        const Slice y_part = piece_of(y, chunk, chunks);
        compute(forward(part.linear, piece_of(x.all, chunk, chunks), y_part),
                gathered[static_cast<std::size_t>(chunk)]);
        add_bias(part, y_part, {});
    }
}

After BlockWriter::row_parallel_forward(const BiasedLinear& layer,
                                        const Slice& x,
                                        const TokenRows& y,
                                        const After& after) {
    const std::int64_t chunks = stage_.shape.chunks;
    After reduced;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        compute(forward(rows_of(layer, layer.linear.tokens / chunks).linear,
                        piece_of(x, chunk, chunks),
                        piece_of(y.all, chunk, chunks)),
                chunk == 0 ? after : After{});
        reduced = reduce_chunk(y, chunk);
    }
    add_bias(rows_of(layer, stage_.shape.own_tokens), y.own, reduced);
    return layer.bias.elements > 0 ? After{} : reduced;
}

After BlockWriter::column_parallel_backward(const BiasedLinear& layer,
                                            const TokenRows& x,
                                            const Slice& dy,
                                            const TokenRows& dx) {
    const bool at_once = weight_gradients_ == WeightGradients::at_once;
    const std::vector<After> gathered = at_once ? gather_over_tp(x) : std::vector<After>{};
    After reduced;
    for (std::int64_t chunk = 0; chunk < stage_.shape.chunks; ++chunk) {
        compute(input_gradient_of_chunk(layer, dy, dx.all, chunk, stage_.shape.chunks));
        reduced = reduce_chunk(dx, chunk);
    }
    if (at_once) {
        compute(weight_gradient(layer.linear, x.all, dy), gathered.back());
        add_bias_gradient(layer, dy);
    }
    return reduced;
}

void BlockWriter::row_parallel_backward(const BiasedLinear& layer,
                                        const Slice& x,
                                        const TokenRows& dy,
                                        const Slice& dx) {
    const std::vector<After> gathered = gather_over_tp(dy);
    for (std::int64_t chunk = 0; chunk < stage_.shape.chunks; ++chunk) {
        compute(input_gradient_of_chunk(layer, dy.all, dx, chunk, stage_.shape.chunks),
                gathered[static_cast<std::size_t>(chunk)]);
    }
    if (weight_gradients_ == WeightGradients::at_once) {
        compute(weight_gradient(layer.linear, x, dy.all));
        add_bias_gradient(rows_of(layer, stage_.shape.own_tokens), dy.own);
    }
}

void BlockWriter::column_parallel_weight_gradient(const BiasedLinear& layer,
                                                  const TokenRows& x,
                                                  const Slice& dy) {
    compute(weight_gradient(layer.linear, x.all, dy), gather_over_tp(x).back());
    add_bias_gradient(layer, dy);
}

void BlockWriter::row_parallel_weight_gradient(const BiasedLinear& layer,
                                               const Slice& x,
                                               const TokenRows& dy) {
    compute(weight_gradient(layer.linear, x, dy.all), gather_over_tp(dy).back());
    add_bias_gradient(rows_of(layer, stage_.shape.own_tokens), dy.own);
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

void BlockWriter::add_bias_gradient(const BiasedLinear& layer, const Slice& dy) {
    if (layer.bias.elements > 0) {
        elementwise(ElementwiseKind::bias_gradient,
                    layer.linear.tokens,
                    layer.linear.out,
                    {dy},
                    {gradient_of(layer.bias)});
    }
}

}  // namespace traindyno
