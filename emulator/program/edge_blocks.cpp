// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/edge_blocks.hpp"

namespace traindyno {

namespace {

BiasedLinear output_linear(const StageContext& stage) {
    return {.linear = {.tokens = stage.shape.tokens,
                       .in = stage.shape.hidden,
                       .out = stage.shape.vocab,
                       .weight = stage.parameters.output_table},
            .bias = {}};
}

std::vector<Slice> embedding_tables(const StageContext& stage) {
    std::vector<Slice> tables{stage.parameters.table};
    if (stage.parameters.positions.elements > 0) {
        tables.push_back(stage.parameters.positions);
    }
    return tables;
}

/// `own` and scratch for the rows of the other ranks, where they have rows of their own.
TokenRows rows_around(const StageContext& stage, const Slice& own, Arena& scratch) {
    return {.own = own,
            .all = stage.sequence_parallel() ? scratch.take(stage.shape.tokens * stage.shape.hidden)
                                             : own};
}

}  // namespace

Scalars place_scalars(const StageContext& stage, bool last_stage) {
    const std::int64_t combined = last_stage && stage.tp ? stage.shape.tokens : 0;
    std::int64_t end = 0;
    const auto take = [&end](std::int64_t elements) {
        const Slice slice{.space = Space::scalar, .offset = end, .elements = elements};
        end += elements;
        return slice;
    };
    Scalars scalars;
    scalars.loss = take(1);
    scalars.gradient_norm = take(1);
    scalars.maximum = take(combined);
    scalars.target = take(combined);
    scalars.exponentials = take(combined);
    scalars.elements = end;
    return scalars;
}

HeadBuffers place_head(const StageContext& stage, Arena& scratch) {
    const LocalShape& shape = stage.shape;
    HeadBuffers buffers;
    buffers.normed = rows_around(stage, scratch.take(shape.own_tokens * shape.hidden), scratch);
    buffers.logits = scratch.take(shape.tokens * shape.vocab);
    buffers.grad_normed =
        rows_around(stage, scratch.take(shape.own_tokens * shape.hidden), scratch);
    return buffers;
}

Block embedding_forward(const StageContext& stage, const Slice& output, Arena& scratch) {
    const TokenRows rows = rows_around(stage, output, scratch);
    BlockWriter block("embedding_forward", Phase::forward, stage);
    block.elementwise(ElementwiseKind::embedding_forward,
                      stage.shape.tokens,
                      stage.shape.hidden,
                      embedding_tables(stage),
                      {rows.all});
    block.reduce_over_tp(rows);
    return block.take();
}

Block embedding_backward(const StageContext& stage, const Slice& grad_output, Arena& scratch) {
    const TokenRows rows = rows_around(stage, grad_output, scratch);
    BlockWriter block("embedding_backward", Phase::backward, stage);
    std::vector<Slice> gradients;
    for (const Slice& table : embedding_tables(stage)) {
        gradients.push_back(gradient_of(table));
    }
    const std::vector<After> gathered = block.gather_over_tp(rows);
    block.elementwise(ElementwiseKind::embedding_backward,
                      stage.shape.tokens,
                      stage.shape.hidden,
                      {rows.all},
                      std::move(gradients),
                      gathered.back());
    return block.take();
}

Block head_forward(const StageContext& stage,
                   const HeadBuffers& buffers,
                   const Scalars& scalars,
                   const Slice& input) {
    BlockWriter block("head_forward", Phase::forward, stage);
    block.elementwise(ElementwiseKind::norm_forward,
                      stage.shape.own_tokens,
                      stage.shape.hidden,
                      {input, stage.parameters.final_norm},
                      {buffers.normed.own});
    block.column_parallel_forward(output_linear(stage), buffers.normed, buffers.logits);
    std::vector<Slice> reads{buffers.logits};
    After combined;
    if (stage.tp) {
        block.all_reduce_over_tp(scalars.maximum, Reduction::max);
        block.all_reduce_over_tp(scalars.target);
        combined = block.all_reduce_over_tp(scalars.exponentials);
        reads.insert(reads.end(), {scalars.maximum, scalars.target, scalars.exponentials});
    }
    block.elementwise(ElementwiseKind::cross_entropy,
                      stage.shape.tokens,
                      stage.shape.vocab,
                      std::move(reads),
                      {buffers.logits, scalars.loss},
                      combined);
    return block.take();
}

Block head_backward(const StageContext& stage,
                    const HeadBuffers& buffers,
                    const Slice& input,
                    const Slice& grad_input) {
    BlockWriter block("head_backward", Phase::backward, stage);
    const After reduced = block.column_parallel_backward(
        output_linear(stage), buffers.normed, buffers.logits, buffers.grad_normed);
    block.elementwise(ElementwiseKind::norm_backward,
                      stage.shape.own_tokens,
                      stage.shape.hidden,
                      {input, buffers.grad_normed.own, stage.parameters.final_norm},
                      {grad_input, gradient_of(stage.parameters.final_norm)},
                      reduced);
    return block.take();
}

}  // namespace traindyno
