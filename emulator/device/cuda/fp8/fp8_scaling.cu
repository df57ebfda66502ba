// SPDX-License-Identifier: Apache-2.0
// The scale update, and the memory it works on.
#include <cfloat>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/fp8/fp8_scaling.hpp"
#include "emulator/device/kernel_plan/fp8_scale_bytes.hpp"

namespace traindyno {

namespace {

constexpr int threads = 128;

/// Arrays of one entry for each tensor, one after the other; at the end, the history of each.
struct ScalingArrays {
    float* amax;
    float* scale;
    float* inverse_scale;
    float* largest;         ///< of the format
    std::uint32_t* cursor;  ///< entry of the history that is overwritten next
    float* history;         ///< [tensors, history]
};

ScalingArrays arrays_in(std::byte* memory, std::int64_t tensors) {
    auto* const floats = reinterpret_cast<float*>(memory);
    return {.amax = floats,
            .scale = floats + tensors,
            .inverse_scale = floats + 2 * tensors,
            .largest = floats + 3 * tensors,
            .cursor = reinterpret_cast<std::uint32_t*>(floats + 4 * tensors),
            .history = floats + 5 * tensors};
}

/// One block for each tensor.
__global__ __launch_bounds__(threads) void update_scale(ScalingArrays arrays,
                                                        std::uint32_t history) {
    const unsigned tensor = blockIdx.x;
    float* const past = arrays.history + std::int64_t{tensor} * history;
    const std::uint32_t cursor = arrays.cursor[tensor];
    const float amax = arrays.amax[tensor];
    float largest = amax;
    for (std::uint32_t step = threadIdx.x; step < history; step += threads) {
        if (step != cursor) {
            largest = fmaxf(largest, past[step]);
        }
    }
    for (int lane = warpSize / 2; lane > 0; lane /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, lane));
    }
    __shared__ float of_warp[threads / 32];
    if (threadIdx.x % 32 == 0) {
        of_warp[threadIdx.x / 32] = largest;
    }
    __syncthreads();  // also: every thread has read what the first one now writes
    if (threadIdx.x != 0) {
        return;
    }
    for (int warp = 1; warp < threads / 32; ++warp) {
        largest = fmaxf(largest, of_warp[warp]);
    }
    past[cursor] = amax;
    arrays.cursor[tensor] = (cursor + 1) % history;
    arrays.amax[tensor] = 0;
    if (largest > 0 && largest <= FLT_MAX) {
        const float scale = fminf(arrays.largest[tensor] / largest, FLT_MAX);
        arrays.scale[tensor] = scale;
        arrays.inverse_scale[tensor] = 1 / scale;
    }
}

}  // namespace

Fp8Scaling::Fp8Scaling(std::span<const Fp8Format> formats,
                       std::int64_t history,
                       cudaStream_t stream)
    : tensors_(static_cast<std::int64_t>(formats.size())),
      history_(history),
      memory_(fp8_scale_bytes(tensors_, history)) {
    TD_EXPECT(tensors_ > 0 && history > 0);
    std::vector<std::byte> initial(static_cast<std::size_t>(memory_.size().value()));
    const ScalingArrays arrays = arrays_in(initial.data(), tensors_);
    for (std::size_t tensor = 0; tensor < formats.size(); ++tensor) {
        arrays.scale[tensor] = 1;
        arrays.inverse_scale[tensor] = 1;
        arrays.largest[tensor] = traits_of(formats[tensor]).largest;
    }
    TD_CUDA(cudaMemcpyAsync(
        memory_.data(), initial.data(), initial.size(), cudaMemcpyHostToDevice, stream));
    TD_CUDA(cudaStreamSynchronize(stream));
}

float* Fp8Scaling::amax(std::int64_t tensor) const {
    TD_EXPECT(tensor >= 0 && tensor < tensors_);
    return arrays_in(memory_.data(), tensors_).amax + tensor;
}

const float* Fp8Scaling::scale(std::int64_t tensor) const {
    TD_EXPECT(tensor >= 0 && tensor < tensors_);
    return arrays_in(memory_.data(), tensors_).scale + tensor;
}

const float* Fp8Scaling::inverse_scale(std::int64_t tensor) const {
    TD_EXPECT(tensor >= 0 && tensor < tensors_);
    return arrays_in(memory_.data(), tensors_).inverse_scale + tensor;
}

void Fp8Scaling::update(cudaStream_t stream) const {
    update_scale<<<static_cast<unsigned>(tensors_), threads, 0, stream>>>(
        arrays_in(memory_.data(), tensors_), static_cast<std::uint32_t>(history_));
    TD_CUDA(cudaGetLastError());
}

}  // namespace traindyno
