// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/edge_blocks.hpp"

#include <utility>

#include "emulator/program/slice_parts.hpp"

namespace traindyno {

namespace {

BiasedLinear output_linear(const StageContext& stage) {
    return {.linear = {.tokens = stage.shape.tokens,
                       .in = stage.shape.hidden,
                       .out = stage.shape.vocab,
                       .weight = stage.parameters.output_table},
            .bias = {}};
}

/// `count` tokens, one part of a sequence after the other, whose positions the tables hold.
struct EmbeddedTokens {
    std::int64_t count = 0;
    Slice rows;
    std::vector<Slice> tables;  ///< of words, and of learned positions
};

/// All tokens at once, unless positions are learned and this rank has two parts of each sequence.
std::vector<EmbeddedTokens> embedded_tokens(const StageContext& stage, const Slice& rows) {
    const LocalShape& shape = stage.shape;
    const Slice& table = stage.parameters.table;
    const Slice& positions = stage.parameters.positions;
    if (positions.elements == 0) {
        return {{.count = shape.tokens, .rows = rows, .tables = {table}}};
    }
    if (!stage.cp || stage.cp->balance == ContextBalance::contiguous) {
        const std::int64_t first = stage.cp ? stage.cp->rank * shape.seq : 0;
        return {{.count = shape.tokens,
                 .rows = rows,
                 .tables = {table, row_range(positions, first, shape.seq, shape.hidden)}}};
    }
    const std::int64_t half = shape.seq / 2;
    std::vector<EmbeddedTokens> parts;
    for (std::int64_t i = 0; i < 2 * shape.batch; ++i) {
        const std::int64_t part =
            i % 2 == 0 ? stage.cp->rank : 2 * stage.cp->ranks - 1 - stage.cp->rank;
        parts.push_back({.count = half,
                         .rows = row_range(rows, i * half, half, shape.hidden),
                         .tables = {table, row_range(positions, part * half, half, shape.hidden)}});
    }
    return parts;
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
    for (const EmbeddedTokens& tokens : embedded_tokens(stage, rows.all)) {
        block.elementwise(ElementwiseKind::embedding_forward,
                          tokens.count,
                          stage.shape.hidden,
                          tokens.tables,
                          {tokens.rows});
    }
    block.reduce_over_tp(rows);
    return block.take();
}

Block embedding_backward(const StageContext& stage, const Slice& grad_output, Arena& scratch) {
    const TokenRows rows = rows_around(stage, grad_output, scratch);
    BlockWriter block("embedding_backward", Phase::backward, stage);
    After gathered = block.gather_over_tp(rows).back();
    for (const EmbeddedTokens& tokens : embedded_tokens(stage, rows.all)) {
        std::vector<Slice> gradients;
        for (const Slice& table : tokens.tables) {
            gradients.push_back(gradient_of(table));
        }
        block.elementwise(ElementwiseKind::embedding_backward,
                          tokens.count,
                          stage.shape.hidden,
                          {tokens.rows},
                          std::move(gradients),
                          std::exchange(gathered, {}));
    }
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
