// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/op.hpp"

#include <algorithm>

#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

/// Element types of the memory that an operation works on.
struct Types {
    DType storage;
    DType gradient;
};

/// Bytes of `elements` in the space of `slice`.
Bytes operand(const Slice& slice, std::int64_t elements, const Types& types) {
    return size_of(elements, dtype_of(slice.space, types.storage, types.gradient));
}

template <class Attention>
std::int64_t keys_of(const Attention& op) {
    return op.keys > 0 ? op.keys : op.seq;
}

/// FLOPs of one product over the score matrix of an attention, all heads and sequences.
template <class Attention>
Flops score_product(const Attention& op) {
    const std::int64_t mirrored = op.mask == AttentionMask::none ? 2 : 1;
    const auto positions = static_cast<double>(mirrored * op.batch * op.seq);
    return Flops{2 * positions * static_cast<double>(keys_of(op) * op.heads * op.head_size)};
}

/// Queries, keys and values, wherever they lie.
template <class Attention>
std::int64_t qkv_elements(const Attention& op) {
    return op.batch * (op.seq * op.heads + 2 * keys_of(op) * op.kv_heads) * op.head_size;
}

template <class Attention>
std::int64_t context_elements(const Attention& op) {
    return op.batch * op.seq * op.heads * op.head_size;
}

template <class Attention>
Bytes qkv_context_statistics(const Attention& op, const Types& types) {
    return operand(op.qkv, qkv_elements(op), types) +
           operand(op.context, context_elements(op), types) +
           size_of(op.batch * op.heads * op.seq, DType::fp32);
}

/// Kinds that touch rows x columns elements of a longer operand: an embedding one table row per
/// token, a rotation the queries and keys of each row of qkv, a slice its columns.
bool touches_a_part(ElementwiseKind kind) {
    return kind == ElementwiseKind::embedding_forward ||
           kind == ElementwiseKind::embedding_backward || kind == ElementwiseKind::rotary_forward ||
           kind == ElementwiseKind::rotary_backward || kind == ElementwiseKind::slice_columns;
}

/// Kinds that add to the parameter gradients they write, and so read them too.
bool accumulates_gradients(ElementwiseKind kind) {
    return kind == ElementwiseKind::embedding_backward || kind == ElementwiseKind::norm_backward ||
           kind == ElementwiseKind::bias_gradient;
}

Bytes elementwise_traffic(const Elementwise& op, const Types& types) {
    const auto touched = [&](const Slice& slice) {
        return touches_a_part(op.kind) ? std::min(slice.elements, op.rows * op.columns)
                                       : slice.elements;
    };
    Bytes sum;
    for (const Slice& slice : op.reads) {
        sum += operand(slice, touched(slice), types);
    }
    for (const Slice& slice : op.writes) {
        const bool read_too = slice.space == Space::gradient && accumulates_gradients(op.kind);
        sum += operand(slice, touched(slice), types) * (read_too ? 2 : 1);
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

Bytes traffic(const ComputeOp& op, DType storage, DType gradient) {
    const Types types{.storage = storage, .gradient = gradient};
    return std::visit(
        Overloaded{
            [&](const MatMul& matmul) {
                const std::int64_t passes = matmul.accumulate == Accumulate::yes ? 2 : 1;
                return operand(matmul.a, matmul.m * matmul.k, types) +
                       operand(matmul.b, matmul.k * matmul.n, types) +
                       operand(matmul.c, passes * matmul.m * matmul.n, types);
            },
            [&](const AttentionForward& attention) {
                return qkv_context_statistics(attention, types);
            },
            [&](const AttentionBackward& attention) {
                return qkv_context_statistics(attention, types) +
                       operand(attention.grad_context, context_elements(attention), types) +
                       operand(attention.grad_qkv, qkv_elements(attention), types);
            },
            [&](const Elementwise& elementwise) { return elementwise_traffic(elementwise, types); },
            [&](const OptimizerStep& step) {
                // fp32 master weight, m and v read and written, gradient read, weight written.
                return size_of(6 * step.elements, DType::fp32) + size_of(step.elements, gradient) +
                       size_of(step.elements, storage);
            },
        },
        op);
}

Slice slice_of(const OptimizerStep& step, Space space) {
    Slice slice{.space = space, .offset = step.offset, .elements = step.elements};
    slice.offset += space == Space::parameter ? step.weight_shift : 0;
    slice.offset += space == Space::gradient ? step.gradient_shift : 0;
    return slice;
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

std::vector<std::int64_t> part_bytes(const std::vector<std::int64_t>& elements, DType type) {
    std::vector<std::int64_t> bytes;
    bytes.reserve(elements.size());
    for (const std::int64_t part : elements) {
        bytes.push_back(size_of(part, type).value());
    }
    return bytes;
}

}  // namespace traindyno
