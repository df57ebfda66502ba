// SPDX-License-Identifier: Apache-2.0
// Skips a test, visibly, where there is no GPU.
#pragma once

#include <string>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

namespace traindyno {

/// Why this process has no GPU; "" when it has one.
inline std::string gpu_problem() {
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess) {
        return cudaGetErrorString(error);
    }
    return devices == 0 ? "no device is visible" : "";
}

}  // namespace traindyno

#define TD_REQUIRE_GPU()                                                          \
    if (const std::string problem = ::traindyno::gpu_problem(); !problem.empty()) \
    GTEST_SKIP() << "no GPU: " << problem
