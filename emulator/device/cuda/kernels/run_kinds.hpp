// SPDX-License-Identifier: Apache-2.0
// Which file runs which kinds. The callers have checked the operands.
#pragma once

#include <span>

#include "emulator/device/cuda/kernels/kernels.hpp"

namespace traindyno::cuda::detail {

using Operands = std::span<const Operand>;

/// gelu_forward, gelu_backward, residual_add, scale, gradient_add
void run_pointwise(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
/// bias_add, swiglu_forward, swiglu_backward
void run_column_walks(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
void run_rotary(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
void run_norm_forward(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
void run_norm_backward(const Elementwise& op,
                       Operands reads,
                       Operands writes,
                       const KernelContext&);
void run_bias_gradient(const Elementwise& op,
                       Operands reads,
                       Operands writes,
                       const KernelContext&);
void run_cross_entropy(const Elementwise& op,
                       Operands reads,
                       Operands writes,
                       const KernelContext&);
void run_sum_of_squares(const Elementwise& op,
                        Operands reads,
                        Operands writes,
                        const KernelContext&);
/// embedding_forward, embedding_backward
void run_embedding(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
/// router_*, permute_*, unpermute_*, concatenate
void run_routing(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);
/// slice_columns, join_columns, attention_merge
void run_context(const Elementwise& op, Operands reads, Operands writes, const KernelContext&);

}  // namespace traindyno::cuda::detail
