// SPDX-License-Identifier: Apache-2.0
// Row-wise and element-wise CPU kernels: multi-threaded, vectorised, fp32 arithmetic on fp32 or
// bf16 data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/base/dtype.hpp"
#include "emulator/device/cpu/team.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// A slice resolved to memory.
struct Operand {
    std::byte* data = nullptr;
    std::int64_t elements = 0;
    DType dtype = DType::fp32;

    template <class T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(data);
    }
};

/// What kernels share: the threads, their scratch memory, and the seed of tokens and targets.
struct KernelContext {
    const Team* team = nullptr;
    std::span<float> scratch;  ///< scratch_elements(op) at least
    std::uint32_t seed = 0;    ///< of this micro-batch
};

/// fp32 scratch that `op` needs with `threads` threads.
[[nodiscard]] std::int64_t scratch_elements(const Elementwise& op, int threads);

/// Every reason why the operands of `op` cannot be executed. Empty when they can.
[[nodiscard]] std::vector<std::string> problems_of(const Elementwise& op);

/// Runs `op` on its operands, in the order of op.reads and op.writes. Gradients (norm_backward,
/// bias_gradient, embedding_backward) are added to what is there; everything else is overwritten.
/// cross_entropy takes the softmax over this rank's part of the vocabulary: the row maxima, target
/// logits and sums that a tensor-parallel program lists after the logits carry traffic, not values.
void run_elementwise(const Elementwise& op,
                     std::span<const Operand> reads,
                     std::span<const Operand> writes,
                     const KernelContext& context);

/// Random token of `row`, in [0, vocab).
[[nodiscard]] std::int64_t token_of(std::uint32_t seed, std::int64_t row, std::int64_t vocab);

/// Adam's arrays from the first element to update.
struct AdamArrays {
    Operand weight;  ///< out, in the compute precision
    const float* gradient = nullptr;
    float* master = nullptr;
    float* m = nullptr;
    float* v = nullptr;
};

void adam(const Team& team, const AdamArrays& arrays);

/// data <- approximately normal values of standard deviation `deviation`; touched by the team's
/// threads as the kernels will touch them.
void fill_random(const Team& team, const Operand& data, float deviation, std::uint32_t seed);
void fill_zero(const Team& team, const Operand& data);

namespace detail {

// One function per source file, each covering the kinds named.
void run_pointwise(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context);  // bias_add .. residual_add, zero, scale
void run_rowwise(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context);  // norms, bias_gradient, cross_entropy
void run_embedding(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context);

}  // namespace detail

}  // namespace traindyno
