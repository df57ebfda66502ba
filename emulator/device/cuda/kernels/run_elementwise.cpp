// SPDX-License-Identifier: Apache-2.0
// Which kernel runs an element-wise kind.
#include "emulator/base/error.hpp"
#include "emulator/device/cuda/kernels/run_kinds.hpp"

namespace traindyno::cuda {

namespace {

using Run = void (*)(const Elementwise&, detail::Operands, detail::Operands, const KernelContext&);

Run kernel_of(ElementwiseKind kind) {
    switch (kind) {
        case ElementwiseKind::embedding_forward:
        case ElementwiseKind::embedding_backward:
            return detail::run_embedding;
        case ElementwiseKind::norm_forward:
            return detail::run_norm_forward;
        case ElementwiseKind::norm_backward:
            return detail::run_norm_backward;
        case ElementwiseKind::bias_gradient:
            return detail::run_bias_gradient;
        case ElementwiseKind::bias_add:
        case ElementwiseKind::swiglu_forward:
        case ElementwiseKind::swiglu_backward:
            return detail::run_column_walks;
        case ElementwiseKind::rotary_forward:
        case ElementwiseKind::rotary_backward:
            return detail::run_rotary;
        case ElementwiseKind::gelu_forward:
        case ElementwiseKind::gelu_backward:
        case ElementwiseKind::residual_add:
        case ElementwiseKind::scale:
        case ElementwiseKind::gradient_add:
            return detail::run_pointwise;
        case ElementwiseKind::cross_entropy:
            return detail::run_cross_entropy;
        case ElementwiseKind::sum_of_squares:
            return detail::run_sum_of_squares;
        case ElementwiseKind::router_forward:
        case ElementwiseKind::router_backward:
        case ElementwiseKind::permute_forward:
        case ElementwiseKind::permute_backward:
        case ElementwiseKind::unpermute_forward:
        case ElementwiseKind::unpermute_backward:
        case ElementwiseKind::concatenate:
            return detail::run_routing;
        case ElementwiseKind::slice_columns:
        case ElementwiseKind::join_columns:
        case ElementwiseKind::attention_merge:
            return detail::run_context;
        case ElementwiseKind::zero:
            return [](const Elementwise&,
                      detail::Operands,
                      detail::Operands writes,
                      const KernelContext& context) { fill_zero(writes[0], context.stream); };
        case ElementwiseKind::copy:
            return [](const Elementwise&,
                      detail::Operands reads,
                      detail::Operands writes,
                      const KernelContext& context) { copy(reads[0], writes[0], context.stream); };
    }
    TD_EXPECT(!"a kind");
    return nullptr;
}

bool is_scalar_result(const Elementwise& op, std::size_t write) {
    return op.kind == ElementwiseKind::sum_of_squares ||
           (op.kind == ElementwiseKind::cross_entropy && write == 1);
}

/// A main gradient that is added to.
bool is_gradient_result(const Elementwise& op, std::size_t write) {
    return op.kind == ElementwiseKind::embedding_backward ||
           op.kind == ElementwiseKind::bias_gradient ||
           (op.kind == ElementwiseKind::norm_backward && write == 1);
}

/// Scalars are fp32, main gradients are or have the type of the activations.
bool is_result_type(const Elementwise& op, std::size_t write, DType type, DType activations) {
    if (is_scalar_result(op, write)) {
        return type == DType::fp32;
    }
    return type == activations || (is_gradient_result(op, write) && type == DType::fp32);
}

/// cross_entropy's reads after the logits, and the sums of squares that are read, are scalars.
std::size_t reads_in_precision(const Elementwise& op) {
    const bool scalars = op.kind == ElementwiseKind::cross_entropy ||
                         op.kind == ElementwiseKind::scale ||
                         op.kind == ElementwiseKind::sum_of_squares;
    return scalars ? 1 : op.reads.size();
}

void check_types(const Elementwise& op, detail::Operands reads, detail::Operands writes) {
    TD_EXPECT(reads.size() == op.reads.size() && writes.size() == op.writes.size());
    for (std::size_t i = 0; i < reads.size(); ++i) {
        const DType wanted = i < reads_in_precision(op) ? reads[0].dtype : DType::fp32;
        TD_EXPECT(reads[i].dtype == wanted);
    }
    for (std::size_t i = 0; i < writes.size() && !reads.empty(); ++i) {
        TD_EXPECT(is_result_type(op, i, writes[i].dtype, reads[0].dtype));
    }
}

}  // namespace

void run_elementwise(const Elementwise& op,
                     std::span<const Operand> reads,
                     std::span<const Operand> writes,
                     const KernelContext& context) {
    check_types(op, reads, writes);
    kernel_of(op.kind)(op, reads, writes, context);
}

}  // namespace traindyno::cuda
