// SPDX-License-Identifier: Apache-2.0
// Casts a bf16 matrix to fp8, transposes it and finds its largest magnitude, in one pass.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "emulator/device/kernel_plan/fp8_types.hpp"

namespace traindyno {

/// All pointers are device memory, and none of the ranges overlap. Fastest where pointers are
/// aligned to 16 bytes and sizes are multiples of 16.
struct Fp8Cast {
    const void* source = nullptr;  ///< bf16 [rows, columns]
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    Fp8Format format = Fp8Format::e4m3;
    const float* scale = nullptr;     ///< what is stored is to_fp8(source * *scale)
    float* amax = nullptr;            ///< raised to the largest |source|, NaNs aside; null: skipped
    std::byte* plain = nullptr;       ///< [rows, columns]; null: not wanted
    std::byte* transposed = nullptr;  ///< [columns, rows]; null: not wanted
};

/// Values round to nearest even, saturate, and stay NaN, as to_fp8's do.
void cast_fp8(const Fp8Cast& cast, cudaStream_t stream);

}  // namespace traindyno
