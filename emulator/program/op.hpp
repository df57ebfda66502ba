// SPDX-License-Identifier: Apache-2.0
// The closed set of operations a training step consists of.
#pragma once

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

#include "emulator/base/dtype.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/base/reduction.hpp"

namespace traindyno {

/// Memory a rank owns, one flat array each. Offsets count elements.
enum class Space : std::uint8_t {
    parameter,  ///< weights, in storage_type(TrainingSetup::precision)
    gradient,   ///< main gradients, in TrainingSetup::gradient_type
    saved,      ///< activations kept from forward to backward, as weights
    workspace,  ///< scratch that lives within a task, as weights
    scalar,     ///< a few fp32 values: loss, gradient norm
    master,     ///< fp32 weights that the optimizer updates
    adam_m,     ///< fp32 first moments; same offsets as `master`
    adam_v,     ///< fp32 second moments
};

template <>
struct EnumNames<Space> {
    static constexpr auto names = enum_table<Space>(
        "parameter", "gradient", "saved", "workspace", "scalar", "master", "adam_m", "adam_v");
};

enum class Transpose : std::uint8_t { no, yes };
enum class Accumulate : std::uint8_t { no, yes };  ///< C = AB, or C += AB

/// `elements` from `offset`, relative to the task's base in that space (Task::base_of).
struct Slice {
    Space space = Space::workspace;
    std::int64_t offset = 0;
    std::int64_t elements = 0;

    friend bool operator==(const Slice&, const Slice&) = default;
};

/// C[m,n] (+)= op(A)[m,k] op(B)[k,n], row-major; `a` holds [m,k], or [k,m] when transposed;
/// likewise `b`.
struct MatMul {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    Transpose transpose_a = Transpose::no;
    Transpose transpose_b = Transpose::no;
    Accumulate accumulate = Accumulate::no;
    Slice a;
    Slice b;
    Slice c;

    friend bool operator==(const MatMul&, const MatMul&) = default;
};

enum class AttentionMask : std::uint8_t {
    causal,  ///< query i sees the keys up to i: as many keys as queries
    none,    ///< every query sees every key
};

template <>
struct EnumNames<AttentionMask> {
    static constexpr auto names = enum_table<AttentionMask>("causal", "none");
};

/// Core attention forward, softmax(QK^T)V, for `batch` sequences of `seq` queries.
/// qkv is [batch*seq, (heads + 2*kv_heads) * head_size]; context is [batch*seq, heads*head_size];
/// statistics is [batch, heads, seq], the log-sum-exp of each score row, in fp32 whatever the space
/// holds (words_of_fp32): backward takes its exponential.
/// Keys and values may lie apart: keys_values is [batch*keys, 2*kv_heads*head_size], the key heads
/// and then the value heads of each row; of qkv only the queries are read.
struct AttentionForward {
    std::int64_t batch = 0;
    std::int64_t seq = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;
    std::int64_t keys = 0;  ///< per sequence, in keys_values; 0: one per query, in qkv
    AttentionMask mask = AttentionMask::causal;
    Slice qkv;
    Slice context;
    Slice statistics;
    Slice keys_values{};

    friend bool operator==(const AttentionForward&, const AttentionForward&) = default;
};

/// Gradient of AttentionForward; recomputes the score blocks from qkv and statistics. With keys and
/// values apart, grad_qkv is that of the queries, [batch*seq, heads*head_size]; context and
/// statistics may be those over more keys than `keys_values` holds: then the gradients over all
/// parts of the keys add up to the whole.
struct AttentionBackward {
    std::int64_t batch = 0;
    std::int64_t seq = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;
    std::int64_t keys = 0;
    AttentionMask mask = AttentionMask::causal;
    Slice qkv;
    Slice context;
    Slice statistics;
    Slice grad_context;
    Slice grad_qkv;
    Slice keys_values{};
    Slice grad_keys_values{};

    friend bool operator==(const AttentionBackward&, const AttentionBackward&) = default;
};

/// Row-wise and element-wise kernels: bound by memory traffic, not by arithmetic.
/// Operands are listed as reads -> writes; [t,h] means rows x columns of the op.
enum class ElementwiseKind : std::uint8_t {
    embedding_forward,   ///< table [V,h] (+ positions [s,h]) -> [t,h]
    embedding_backward,  ///< d[t,h] -> table gradient [V,h] (+ position gradient [s,h])
    norm_forward,        ///< x[t,h], scale and shift -> y[t,h]
    norm_backward,       ///< x[t,h], dy[t,h], scale and shift -> dx[t,h], their gradients
    bias_add,            ///< x[t,n], bias[n] -> x[t,n]
    bias_gradient,       ///< dy[t,n] -> dbias[n], accumulated
    gelu_forward,        ///< x[t,f] -> y[t,f]
    gelu_backward,       ///< x[t,f], dy[t,f] -> dx[t,f]
    swiglu_forward,      ///< x[t,2f] -> y[t,f]
    swiglu_backward,     ///< x[t,2f], dy[t,f] -> dx[t,2f]
    rotary_forward,      ///< the first n columns of x[t,m], in place
    rotary_backward,     ///< the first n columns of dx[t,m], in place
    residual_add,        ///< x[t,h], y[t,h] -> z[t,h]
    cross_entropy,       ///< logits[t,V] (+ their maximum, target, sum of exponentials [t] over all
                    ///< shards) -> dlogits[t,V] in place, loss: forward and gradient in one pass
    zero,            ///< -> x: the gradient buffer before the first micro-batch
    sum_of_squares,  ///< x (, sum of other pieces) -> scalar: gradient norm
    scale,           ///< x, scalar -> x: gradient clipping
    gradient_add,    ///< x, y -> x + y in place of x: reduced gradients of one more micro-batch
    copy,            ///< x -> y: gradients into one piece and back
    // A mixture of experts. Routes are given, not learned: t tokens are dealt to s slots, slot i
    // holds token i mod t, and a token's j-th slot has its j-th weight (expert_routes.hpp). Slots
    // beyond the k-th round are padding: computed on, but of no weight.
    router_forward,      ///< logits[t,E] -> weights[t,k]: softmax over each row's k largest
    router_backward,     ///< logits[t,E], dweights[t,k] -> dlogits[t,E]
    permute_forward,     ///< x[t,h] -> y[s,h]: tokens in their slots
    permute_backward,    ///< dy[s,h] -> dx[t,h]: sum over a token's slots
    unpermute_forward,   ///< y[s,h], weights[t,k] -> z[t,h]: weighted sum over a token's slots
    unpermute_backward,  ///< dz[t,h], y[s,h], weights[t,k] -> dy[s,h], dweights[t,k]
    concatenate,         ///< any number of x -> y: one after another
    // Attention over a sequence in parts (context parallelism).
    slice_columns,    ///< x[t,m] -> y[t,n]: its last n columns
    join_columns,     ///< x[t,n-k], y[t,k] -> z[t,n]
    attention_merge,  ///< context[t,n], statistics, those over other keys [heads, t] -> both over
                      ///< all keys, in place: of one sequence's last t queries
};

template <>
struct EnumNames<ElementwiseKind> {
    static constexpr auto names = enum_table<ElementwiseKind>("embedding_forward",
                                                              "embedding_backward",
                                                              "norm_forward",
                                                              "norm_backward",
                                                              "bias_add",
                                                              "bias_gradient",
                                                              "gelu_forward",
                                                              "gelu_backward",
                                                              "swiglu_forward",
                                                              "swiglu_backward",
                                                              "rotary_forward",
                                                              "rotary_backward",
                                                              "residual_add",
                                                              "cross_entropy",
                                                              "zero",
                                                              "sum_of_squares",
                                                              "scale",
                                                              "gradient_add",
                                                              "copy",
                                                              "router_forward",
                                                              "router_backward",
                                                              "permute_forward",
                                                              "permute_backward",
                                                              "unpermute_forward",
                                                              "unpermute_backward",
                                                              "concatenate",
                                                              "slice_columns",
                                                              "join_columns",
                                                              "attention_merge");
};

struct Elementwise {
    ElementwiseKind kind = ElementwiseKind::residual_add;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<Slice> reads;
    std::vector<Slice> writes;

    friend bool operator==(const Elementwise&, const Elementwise&) = default;
};

/// Adam on `elements` parameters: master weight, m, v (from `offset`) and gradient in, weight out.
/// Without sharding all have the same offsets.
struct OptimizerStep {
    std::int64_t offset = 0;
    std::int64_t elements = 0;
    std::int64_t weight_shift = 0;    ///< added to `offset` in parameter space
    std::int64_t gradient_shift = 0;  ///< added to `offset` in gradient space

    friend bool operator==(const OptimizerStep&, const OptimizerStep&) = default;
};

enum class CollectiveKind : std::uint8_t { all_reduce, reduce_scatter, all_gather, all_to_all };

template <>
struct EnumNames<CollectiveKind> {
    static constexpr auto names =
        enum_table<CollectiveKind>("all_reduce", "reduce_scatter", "all_gather", "all_to_all");
};

/// A collective over the n members of `group`. Elements on one member:
///   all_reduce      output as long as input, and the same memory where it is in place
///   reduce_scatter  input n times output, which may be this member's part of input
///   all_gather      output n times input, which may be this member's part of output
///   all_to_all      n equal parts each, or `sent` and `received` elements to and from each member
struct Collective {
    CollectiveKind kind = CollectiveKind::all_reduce;
    GroupId group;
    Slice input;
    Slice output;
    DType dtype = DType::fp32;
    Reduction reduction = Reduction::sum;  ///< all_reduce and reduce_scatter
    std::vector<std::int64_t> sent{};      ///< all_to_all with unequal parts, else empty
    std::vector<std::int64_t> received{};

    friend bool operator==(const Collective&, const Collective&) = default;
};

[[nodiscard]] Collective all_reduce_in_place(GroupId group,
                                             const Slice& buffer,
                                             DType dtype,
                                             Reduction reduction = Reduction::sum);

/// Point-to-point to or from group rank `peer`. A send meets the receive of the same group and tag.
struct Send {
    GroupId group;
    GroupRank peer;
    std::int32_t tag = 0;
    Slice buffer;
    DType dtype = DType::fp32;

    friend bool operator==(const Send&, const Send&) = default;
};

struct Recv {
    GroupId group;
    GroupRank peer;
    std::int32_t tag = 0;
    Slice buffer;
    DType dtype = DType::fp32;

    friend bool operator==(const Recv&, const Recv&) = default;
};

using ComputeOp =
    std::variant<MatMul, AttentionForward, AttentionBackward, Elementwise, OptimizerStep>;
using CommOp = std::variant<Collective, Send, Recv>;
using Op = std::variant<ComputeOp, CommOp>;

/// Floating-point operations of `op`. Causal attention counts the full square, as the papers do
/// (Narayanan et al., SC'21, appendix). Of a sequence in parts, attention to another part counts
/// twice, for itself and for its mirror image above the diagonal, which nobody computes: so the
/// parts add up to the square. Element-wise kernels count none.
[[nodiscard]] Flops flops(const ComputeOp& op);

/// What `step` updates or reads in `space`.
[[nodiscard]] Slice slice_of(const OptimizerStep& step, Space space);

/// Memory traffic of `op`, each operand read or written once, when weights and activations are
/// stored as `storage`, main gradients as `gradient`.
[[nodiscard]] Bytes traffic(const ComputeOp& op, DType storage, DType gradient = DType::fp32);

/// Payload of a communication: the size of its buffer, of the longer one where there are two.
[[nodiscard]] Bytes payload(const CommOp& op);

[[nodiscard]] GroupId group_id(const CommOp& op);

/// Sizes in bytes of parts given in elements (Collective::sent, received).
[[nodiscard]] std::vector<std::int64_t> part_bytes(const std::vector<std::int64_t>& elements,
                                                   DType type);

/// Elements of `storage` that take the bytes of `elements` in fp32.
[[nodiscard]] constexpr std::int64_t words_of_fp32(std::int64_t elements, DType storage) {
    return elements * (element_size(DType::fp32) / element_size(storage));
}

/// Element type of a space when weights and activations are stored as `storage`, main gradients as
/// `gradient`.
[[nodiscard]] constexpr DType dtype_of(Space space, DType storage, DType gradient = DType::fp32) {
    switch (space) {
        case Space::parameter:
        case Space::saved:
        case Space::workspace:
            return storage;
        case Space::gradient:
            return gradient;
        case Space::scalar:
        case Space::master:
        case Space::adam_m:
        case Space::adam_v:
            break;
    }
    return DType::fp32;
}

}  // namespace traindyno
