// SPDX-License-Identifier: Apache-2.0
// Owners of cuBLASLt's objects, and the check of its calls.
#pragma once

#include <cublasLt.h>

#include "emulator/base/error.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno::cuda {

/// Throws LibraryError unless `status` is success.
void check_cublas_lt(cublasStatus_t status, const char* call, Where where = Where::here());

template <class Pointer, cublasStatus_t (*destroy_function)(Pointer)>
struct CublasLtTraits {
    using Handle = Pointer;

    static Handle null() { return nullptr; }

    static void destroy(Handle handle) noexcept { (void)destroy_function(handle); }
};

using CublasLtHandle = UniqueHandle<CublasLtTraits<cublasLtHandle_t, cublasLtDestroy>>;
using MatmulDesc = UniqueHandle<CublasLtTraits<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using MatrixLayout =
    UniqueHandle<CublasLtTraits<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;

[[nodiscard]] CublasLtHandle make_cublas_lt();

}  // namespace traindyno::cuda

#define TD_CUBLAS_LT(call) ::traindyno::cuda::check_cublas_lt((call), #call)
