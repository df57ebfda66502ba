// SPDX-License-Identifier: Apache-2.0
// Owners of cuBLASLt's objects, and the check of its calls.
#pragma once

#include <cublasLt.h>

#include "emulator/base/error.hpp"
#include "emulator/base/unique_handle.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/gemm_plans/gemm_types.hpp"

namespace traindyno {

/// Throws LibraryError unless `code` is success.
void check_cublas_lt(cublasStatus_t code, const char* call, Where where);

template <class Raw, cublasStatus_t (*destroy_raw)(Raw)>
struct LtTraits {
    using Handle = Raw;

    static Handle null() { return nullptr; }

    static void destroy(Handle handle) noexcept { (void)destroy_raw(handle); }
};

using LtHandle = UniqueHandle<LtTraits<cublasLtHandle_t, cublasLtDestroy>>;
using LtOperation = UniqueHandle<LtTraits<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using LtLayout = UniqueHandle<LtTraits<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using LtPreference =
    UniqueHandle<LtTraits<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;

/// For the current device.
[[nodiscard]] LtHandle make_lt_handle();

/// What every product on one GPU shares. There is one workspace: products that use it must not run
/// at the same time, so all go to one stream, or to streams ordered by events.
struct LtSession {
    LtHandle handle;
    DeviceBytes workspace;
    int multiprocessors = 0;
};

/// For the current device.
[[nodiscard]] LtSession make_lt_session();

[[nodiscard]] cudaDataType_t cuda_type(GemmType type);

}  // namespace traindyno

#define TD_CUBLASLT(call) ::traindyno::check_cublas_lt((call), #call, ::traindyno::Where::here())
