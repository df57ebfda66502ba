// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/strided_product.hpp"

#include <utility>

namespace traindyno::cuda {

namespace {

/// Shape of a stored matrix: op(x) is [rows, columns], x its transpose if `transpose`.
LtLayout layout_of(const StridedMatrices& matrices,
                   std::int64_t rows,
                   std::int64_t columns,
                   Transpose transpose,
                   std::int64_t count) {
    if (transpose == Transpose::yes) {
        std::swap(rows, columns);
    }
    // cuBLASLt reads our rows as its columns.
    cublasLtMatrixLayout_t raw = nullptr;
    TD_CUBLASLT(cublasLtMatrixLayoutCreate(&raw,
                                           matrices.type,
                                           static_cast<std::uint64_t>(columns),
                                           static_cast<std::uint64_t>(rows),
                                           matrices.row));
    LtLayout layout(raw);
    const auto batch = static_cast<std::int32_t>(count);
    TD_CUBLASLT(cublasLtMatrixLayoutSetAttribute(
        raw, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch));
    TD_CUBLASLT(cublasLtMatrixLayoutSetAttribute(
        raw, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &matrices.next, sizeof matrices.next));
    return layout;
}

/// Of C^T = op(B)^T op(A)^T: with columns for rows, cuBLASLt's first factor is our second.
LtOperation operation_of(const StridedProductShape& shape) {
    cublasLtMatmulDesc_t raw = nullptr;
    TD_CUBLASLT(cublasLtMatmulDescCreate(&raw, shape.compute, CUDA_R_32F));
    LtOperation operation(raw);
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, Transpose transpose) {
        const cublasOperation_t value = transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
        TD_CUBLASLT(cublasLtMatmulDescSetAttribute(raw, attribute, &value, sizeof value));
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, shape.transpose_b);
    set(CUBLASLT_MATMUL_DESC_TRANSB, shape.transpose_a);
    return operation;
}

LtPreference preference_of(std::size_t workspace, std::uint32_t alignment) {
    cublasLtMatmulPreference_t raw = nullptr;
    TD_CUBLASLT(cublasLtMatmulPreferenceCreate(&raw));
    LtPreference preference(raw);
    TD_CUBLASLT(cublasLtMatmulPreferenceSetAttribute(
        raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
        TD_CUBLASLT(
            cublasLtMatmulPreferenceSetAttribute(raw, operand, &alignment, sizeof alignment));
    }
    return preference;
}

}  // namespace

StridedProduct::StridedProduct(cublasLtHandle_t handle,
                               const StridedProductShape& shape,
                               std::size_t workspace)
    : handle_(handle),
      alpha_(shape.alpha),
      workspace_(workspace),
      operation_(operation_of(shape)),
      a_(layout_of(shape.a, shape.m, shape.k, shape.transpose_a, shape.count)),
      b_(layout_of(shape.b, shape.k, shape.n, shape.transpose_b, shape.count)),
      c_(layout_of(shape.c, shape.m, shape.n, Transpose::no, shape.count)) {
    const LtPreference preference = preference_of(workspace, shape.alignment);
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    TD_CUBLASLT(cublasLtMatmulAlgoGetHeuristic(handle,
                                               operation_.get(),
                                               b_.get(),
                                               a_.get(),
                                               c_.get(),
                                               c_.get(),
                                               preference.get(),
                                               1,
                                               &result,
                                               &found));
    check_cublas_lt(found == 1 ? result.state : CUBLAS_STATUS_NOT_SUPPORTED,
                    "cublasLtMatmulAlgoGetHeuristic",
                    Where::here());
    algorithm_ = result.algo;
}

void StridedProduct::run(const void* a,
                         const void* b,
                         void* c,
                         Accumulate accumulate,
                         void* workspace,
                         cudaStream_t stream) const {
    const float beta = accumulate == Accumulate::yes ? 1.0F : 0.0F;
    TD_CUBLASLT(cublasLtMatmul(handle_,
                               operation_.get(),
                               &alpha_,
                               b,
                               b_.get(),
                               a,
                               a_.get(),
                               &beta,
                               c,
                               c_.get(),
                               c,
                               c_.get(),
                               &algorithm_,
                               workspace,
                               workspace_,
                               stream));
}

}  // namespace traindyno::cuda
