// SPDX-License-Identifier: Apache-2.0
// Row-wise and element-wise CUDA kernels: fp32 arithmetic on fp32, bf16 or fp16 data. They are only
// launched, on the stream given; nothing here allocates or waits, so all can be captured in a
// graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <cuda_runtime_api.h>

#include "emulator/base/dtype.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/base/reduction.hpp"
#include "emulator/device/cuda/kernels/geometry.hpp"
#include "emulator/device/operand.hpp"
#include "emulator/program/op.hpp"

namespace traindyno::cuda {

/// What launches share.
struct KernelContext {
    cudaStream_t stream = nullptr;
    float* scratch = nullptr;  ///< scratch_elements(op) at least, aligned to 16 bytes
    std::uint32_t seed = 0;    ///< of this micro-batch: tokens and targets
    int multiprocessors = 0;   ///< of the device
};

/// Runs `op` on its operands, in the order of op.reads and op.writes; the same results as the CPU's
/// run_elementwise, but for rounding. Gradients (norm_backward, bias_gradient, embedding_backward)
/// are added to what is there, in fp32 or the type of the activations; everything else is
/// overwritten. Only embedding_backward depends on the order of its additions (atomics); all other
/// results are the same in every run.
void run_elementwise(const Elementwise& op,
                     std::span<const Operand> reads,
                     std::span<const Operand> writes,
                     const KernelContext& context);

/// One step of Adam on arrays.weight.elements parameters; gradients are fp32 or as the weights.
void adam(const AdamArrays& arrays, const KernelContext& context);

/// data <- approximately normal values of standard deviation `deviation`, those of an array with
/// this seed from its element `first` on; the CPU's values.
void fill_random(const Operand& data,
                 float deviation,
                 std::uint32_t seed,
                 cudaStream_t stream,
                 std::int64_t first = 0);
void fill_zero(const Operand& data, cudaStream_t stream);
/// Of the same type and length.
void copy(const Operand& from, const Operand& to, cudaStream_t stream);

/// In device memory: reduced values that were compared with their closed form, and that differed.
struct PatternCounters {
    unsigned long long checked = 0;
    unsigned long long wrong = 0;
};

/// emulator/engine's stamp and check of reduced buffers, on the device. check_pattern adds to
/// `counters`.
void stamp_pattern(std::byte* buffer,
                   DType type,
                   std::int64_t elements,
                   GroupRank rank,
                   std::uint32_t key,
                   cudaStream_t stream);
void check_pattern(const std::byte* buffer,
                   DType type,
                   std::int64_t elements,
                   Reduction reduction,
                   std::int64_t size,
                   std::uint32_t key,
                   PatternCounters* counters,
                   cudaStream_t stream);

}  // namespace traindyno::cuda
