// SPDX-License-Identifier: Apache-2.0
// Matrix products of one shape over many heads, whose matrices lie at equal distances in memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/device/cuda/gemm/cublas_lt.hpp"
#include "emulator/program/op.hpp"

namespace traindyno::cuda {

/// Matrices as they are stored: row-major, `row` elements from row to row, `next` from matrix to
/// matrix; next = 0 reads the same one again.
struct StridedMatrices {
    cudaDataType_t type = CUDA_R_32F;
    std::int64_t row = 0;
    std::int64_t next = 0;
};

/// c[m,n] (+)= alpha op(a)[m,k] op(b)[k,n], `count` times.
struct StridedProductShape {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    std::int64_t count = 0;
    Transpose transpose_a = Transpose::no;
    Transpose transpose_b = Transpose::no;
    StridedMatrices a;
    StridedMatrices b;
    StridedMatrices c;
    float alpha = 1;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    std::uint32_t alignment = 16;  ///< of every address, in bytes
};

class StridedProduct {
  public:
    /// Lets cuBLASLt choose an algorithm that needs at most `workspace` bytes.
    StridedProduct(cublasLtHandle_t handle,
                   const StridedProductShape& shape,
                   std::size_t workspace);

    /// `workspace` has the bytes given at construction.
    void run(const void* a,
             const void* b,
             void* c,
             Accumulate accumulate,
             void* workspace,
             cudaStream_t stream) const;

  private:
    cublasLtHandle_t handle_;
    float alpha_;
    std::size_t workspace_;
    LtOperation operation_;
    LtLayout a_;
    LtLayout b_;
    LtLayout c_;
    cublasLtMatmulAlgo_t algorithm_{};
};

}  // namespace traindyno::cuda
