// SPDX-License-Identifier: Apache-2.0
// Which kernel runs an element-wise kind.
#include "emulator/device/cpu/kernels.hpp"

namespace traindyno {

std::int64_t scratch_elements(const Elementwise& op, int threads) {
    switch (op.kind) {
        case ElementwiseKind::norm_backward:
            return std::int64_t{2} * threads * op.columns;
        case ElementwiseKind::bias_gradient:
        case ElementwiseKind::permute_backward:
        case ElementwiseKind::unpermute_forward:
            return threads * op.columns;
        default:
            return 0;
    }
}

void run_elementwise(const Elementwise& op,
                     std::span<const Operand> reads,
                     std::span<const Operand> writes,
                     const KernelContext& context) {
    switch (op.kind) {
        case ElementwiseKind::embedding_forward:
        case ElementwiseKind::embedding_backward:
            return detail::run_embedding(op, reads, writes, context);
        case ElementwiseKind::norm_forward:
        case ElementwiseKind::norm_backward:
        case ElementwiseKind::bias_gradient:
        case ElementwiseKind::cross_entropy:
            return detail::run_rowwise(op, reads, writes, context);
        case ElementwiseKind::bias_add:
        case ElementwiseKind::gelu_forward:
        case ElementwiseKind::gelu_backward:
        case ElementwiseKind::swiglu_forward:
        case ElementwiseKind::swiglu_backward:
        case ElementwiseKind::rotary_forward:
        case ElementwiseKind::rotary_backward:
        case ElementwiseKind::residual_add:
        case ElementwiseKind::zero:
        case ElementwiseKind::sum_of_squares:
        case ElementwiseKind::scale:
        case ElementwiseKind::gradient_add:
        case ElementwiseKind::copy:
            return detail::run_pointwise(op, reads, writes, context);
        case ElementwiseKind::router_forward:
        case ElementwiseKind::router_backward:
        case ElementwiseKind::permute_forward:
        case ElementwiseKind::permute_backward:
        case ElementwiseKind::unpermute_forward:
        case ElementwiseKind::unpermute_backward:
        case ElementwiseKind::concatenate:
            return detail::run_routing(op, reads, writes, context);
        case ElementwiseKind::slice_columns:
        case ElementwiseKind::join_columns:
        case ElementwiseKind::attention_merge:
            return detail::run_context(op, reads, writes, context);
    }
}

}  // namespace traindyno
