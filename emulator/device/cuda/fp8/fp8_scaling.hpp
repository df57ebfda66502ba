// SPDX-License-Identifier: Apache-2.0
// Delayed scaling: each tensor's scale follows from its largest magnitudes in past steps.
#pragma once

#include <cstdint>
#include <span>

#include <cuda_runtime_api.h>

#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/kernel_plan/fp8_types.hpp"

namespace traindyno {

/// Device memory with the amax history, scale and inverse scale of every tensor of a step, as
/// Transformer Engine's DelayedScaling keeps them (amax_compute_algo "max", margin 0). Scales begin
/// as 1.
class Fp8Scaling {
  public:
    /// One format for each tensor; `history` steps are remembered. Waits for `stream`.
    Fp8Scaling(std::span<const Fp8Format> formats, std::int64_t history, cudaStream_t stream);

    /// Raised by cast_fp8 during a step.
    [[nodiscard]] float* amax(std::int64_t tensor) const;
    /// What cast_fp8 multiplies by.
    [[nodiscard]] const float* scale(std::int64_t tensor) const;
    /// What a matrix product multiplies by (CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, ..B..).
    [[nodiscard]] const float* inverse_scale(std::int64_t tensor) const;

    /// One launch for all tensors, after the last cast of a step: remembers each amax, sets
    /// scale = largest of the format / largest in the history, and clears amax. Where that is zero,
    /// infinite or NaN the scale stays.
    void update(cudaStream_t stream) const;

  private:
    std::int64_t tensors_ = 0;
    std::int64_t history_ = 0;
    DeviceBytes memory_;  ///< fp8_scale_bytes; layout in the .cu file
};

}  // namespace traindyno
