// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/gemm/cublas_lt.hpp"

namespace traindyno {

namespace {

// NVIDIA's recommendation for Hopper (cuBLAS documentation, "cuBLAS workspace"); more than enough
// for other GPUs.
constexpr Bytes workspace_size{32LL * 1024 * 1024};

}  // namespace

void check_cublas_lt(cublasStatus_t code, const char* call, Where where) {
    if (code != CUBLAS_STATUS_SUCCESS) {
        throw LibraryError("cuBLASLt", code, cublasLtGetStatusString(code), call, where);
    }
}

LtHandle make_lt_handle() {
    cublasLtHandle_t handle = nullptr;
    TD_CUBLASLT(cublasLtCreate(&handle));
    return LtHandle(handle);
}

LtSession make_lt_session() {
    int device = 0;
    TD_CUDA(cudaGetDevice(&device));
    LtSession session;
    TD_CUDA(
        cudaDeviceGetAttribute(&session.multiprocessors, cudaDevAttrMultiProcessorCount, device));
    session.handle = make_lt_handle();
    session.workspace = DeviceBytes(workspace_size);
    return session;
}

cudaDataType_t cuda_type(GemmType type) {
    switch (type) {
        case GemmType::fp32:
            return CUDA_R_32F;
        case GemmType::bf16:
            return CUDA_R_16BF;
        case GemmType::fp16:
            return CUDA_R_16F;
        case GemmType::e4m3:
            return CUDA_R_8F_E4M3;
        case GemmType::e5m2:
            return CUDA_R_8F_E5M2;
    }
    TD_EXPECT(type <= GemmType::e5m2);
    return CUDA_R_32F;
}

}  // namespace traindyno
