// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/op.hpp"

#include <algorithm>

#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

/// Bytes of `elements` in the space of `slice`.
Bytes operand(const Slice& slice, std::int64_t elements, DType storage) {
    return size_of(elements, dtype_of(slice.space, storage));
}

/// FLOPs of one product over the score square of an attention, all heads and sequences.
template <class Attention>
Flops score_product(const Attention& op) {
    const auto positions = static_cast<double>(op.batch * op.seq);
    return Flops{2 * positions * static_cast<double>(op.seq * op.heads * op.head_size)};
}

template <class Attention>
std::int64_t qkv_elements(const Attention& op) {
    return op.batch * op.seq * (op.heads + 2 * op.kv_heads) * op.head_size;
}

template <class Attention>
std::int64_t context_elements(const Attention& op) {
    return op.batch * op.seq * op.heads * op.head_size;
}

template <class Attention>
Bytes qkv_context_statistics(const Attention& op, DType storage) {
    return operand(op.qkv, qkv_elements(op), storage) +
           operand(op.context, context_elements(op), storage) +
           size_of(op.batch * op.heads * op.seq, DType::fp32);
}

/// Kinds that touch rows x columns elements of a longer operand: an embedding one table row per
/// token, a rotation the queries and keys of each row of qkv.
bool touches_a_part(ElementwiseKind kind) {
    return kind == ElementwiseKind::embedding_forward ||
           kind == ElementwiseKind::embedding_backward || kind == ElementwiseKind::rotary_forward ||
           kind == ElementwiseKind::rotary_backward;
}

/// Kinds that add to the parameter gradients they write, and so read them too.
bool accumulates_gradients(ElementwiseKind kind) {
    return kind == ElementwiseKind::embedding_backward || kind == ElementwiseKind::norm_backward ||
           kind == ElementwiseKind::bias_gradient;
}

Bytes elementwise_traffic(const Elementwise& op, DType storage) {
    const auto touched = [&](const Slice& slice) {
        return touches_a_part(op.kind) ? std::min(slice.elements, op.rows * op.columns)
                                       : slice.elements;
    };
    Bytes sum;
    for (const Slice& slice : op.reads) {
        sum += operand(slice, touched(slice), storage);
    }
    for (const Slice& slice : op.writes) {
        const bool read_too = slice.space == Space::gradient && accumulates_gradients(op.kind);
        sum += operand(slice, touched(slice), storage) * (read_too ? 2 : 1);
    }
    return sum;
}

}  // namespace

Flops flops(const ComputeOp& op) {
    return std::visit(
        Overloaded{
            [](const MatMul& matmul) {
                return Flops{2 * static_cast<double>(matmul.m) * static_cast<double>(matmul.n) *
                             static_cast<double>(matmul.k)};
            },
            // Scores, context.
            [](const AttentionForward& attention) { return 2 * score_product(attention); },
            // Scores again (they are not kept), and the gradients of V, of the probabilities, of Q
            // and of K: 2.5 times forward, where the papers' model FLOPs count 2 times.
            [](const AttentionBackward& attention) { return 5 * score_product(attention); },
            [](const Elementwise&) { return Flops{}; },
            [](const OptimizerStep&) { return Flops{}; },
        },
        op);
}

Bytes traffic(const ComputeOp& op, DType storage) {
    return std::visit(
        Overloaded{
            [&](const MatMul& matmul) {
                const std::int64_t passes = matmul.accumulate == Accumulate::yes ? 2 : 1;
                return operand(matmul.a, matmul.m * matmul.k, storage) +
                       operand(matmul.b, matmul.k * matmul.n, storage) +
                       operand(matmul.c, passes * matmul.m * matmul.n, storage);
            },
            [&](const AttentionForward& attention) {
                return qkv_context_statistics(attention, storage);
            },
            [&](const AttentionBackward& attention) {
                return qkv_context_statistics(attention, storage) +
                       operand(attention.grad_context, context_elements(attention), storage) +
                       operand(attention.grad_qkv, qkv_elements(attention), storage);
            },
            [&](const Elementwise& elementwise) {
                return elementwise_traffic(elementwise, storage);
            },
            [&](const OptimizerStep& step) {
                // fp32 master weight, m and v read and written, fp32 gradient read, weight written.
                return size_of(7 * step.elements, DType::fp32) + size_of(step.elements, storage);
            },
        },
        op);
}

Collective all_reduce_in_place(GroupId group,
                               const Slice& buffer,
                               DType dtype,
                               Reduction reduction) {
    return {.kind = CollectiveKind::all_reduce,
            .group = group,
            .input = buffer,
            .output = buffer,
            .dtype = dtype,
            .reduction = reduction};
}

Bytes payload(const CommOp& op) {
    return std::visit(
        Overloaded{
            [](const Collective& collective) {
                return size_of(std::max(collective.input.elements, collective.output.elements),
                               collective.dtype);
            },
            [](const auto& message) { return size_of(message.buffer.elements, message.dtype); }},
        op);
}

GroupId group_id(const CommOp& op) {
    return std::visit([](const auto& communication) { return communication.group; }, op);
}

}  // namespace traindyno
