// SPDX-License-Identifier: Apache-2.0
// Row-wise and element-wise CPU kernels: multi-threaded, vectorised, fp32 arithmetic on fp32 or
// bf16 data.
#pragma once

#include <cstdint>
#include <span>

#include "emulator/device/cpu/team.hpp"
#include "emulator/device/operand.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// What kernels share: the threads, their scratch memory, and the seed of tokens and targets.
struct KernelContext {
    const Team* team = nullptr;
    std::span<float> scratch;  ///< scratch_elements(op) at least
    std::uint32_t seed = 0;    ///< of this micro-batch
};

/// fp32 scratch that `op` needs with `threads` threads.
[[nodiscard]] std::int64_t scratch_elements(const Elementwise& op, int threads);

/// Runs `op` on its operands, in the order of op.reads and op.writes. Gradients (norm_backward,
/// bias_gradient, embedding_backward) are added to what is there; everything else is overwritten.
/// cross_entropy takes the softmax over this rank's part of the vocabulary: the row maxima, target
/// logits and sums that a tensor-parallel program lists after the logits carry traffic, not values.
void run_elementwise(const Elementwise& op,
                     std::span<const Operand> reads,
                     std::span<const Operand> writes,
                     const KernelContext& context);

/// Gradients are fp32, or bf16 beside bf16 weights.
void adam(const Team& team, const AdamArrays& arrays);

/// data <- approximately normal values of standard deviation `deviation`, those of an array with
/// this seed from its element `first` on; touched by the team's threads as the kernels will touch
/// them.
void fill_random(const Team& team,
                 const Operand& data,
                 float deviation,
                 std::uint32_t seed,
                 std::int64_t first = 0);
void fill_zero(const Team& team, const Operand& data);
/// Of the same type and length.
void copy(const Team& team, const Operand& from, const Operand& to);

namespace detail {

// One function per source file, each covering the kinds named.
void run_pointwise(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context);  // bias_add .. residual_add, zero .. copy
void run_rowwise(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context);  // norms, bias_gradient, cross_entropy
void run_embedding(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context);
void run_routing(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context);  // routers, permutations, concatenate
void run_context(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context);  // slice_columns .. attention_merge

}  // namespace detail

}  // namespace traindyno
