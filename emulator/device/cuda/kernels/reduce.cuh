// SPDX-License-Identifier: Apache-2.0
// Reductions over the threads of a block, in an order that does not depend on timing.
#pragma once

#include "emulator/device/cuda/kernels/geometry.hpp"

namespace traindyno::cuda {

inline constexpr unsigned all_lanes = 0xffffffffU;

struct Sum {
    static constexpr float neutral = 0.0F;

    __device__ static float combine(float a, float b) { return a + b; }
};

struct Largest {
    static constexpr float neutral = -3.402823466e38F;  // -FLT_MAX

    __device__ static float combine(float a, float b) { return fmaxf(a, b); }
};

template <class Combine>
__device__ __forceinline__ float reduce_warp(float value) {
#pragma unroll
    for (int lane = warp_threads / 2; lane > 0; lane /= 2) {
        value = Combine::combine(value, __shfl_xor_sync(all_lanes, value, lane));
    }
    return value;
}

/// One value per warp. Two reductions with no other one between them must not share slots.
using Slots = float[warp_threads];

/// The result in every thread. Blocks of whole warps only.
template <class Combine>
__device__ __forceinline__ float reduce_block(float value, Slots& slots) {
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    value = reduce_warp<Combine>(value);
    if (lane == 0) {
        slots[warp] = value;
    }
    __syncthreads();
    const int warps = static_cast<int>(blockDim.x) / warp_threads;
    return reduce_warp<Combine>(lane < warps ? slots[lane] : Combine::neutral);
}

using PairSlots = float2[warp_threads];

/// Sums of both values in every thread, at the cost of one synchronisation.
__device__ __forceinline__ float2 sum_pairs(float2 value, PairSlots& slots) {
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    value = {reduce_warp<Sum>(value.x), reduce_warp<Sum>(value.y)};
    if (lane == 0) {
        slots[warp] = value;
    }
    __syncthreads();
    const int warps = static_cast<int>(blockDim.x) / warp_threads;
    const float2 own = lane < warps ? slots[lane] : float2{0.0F, 0.0F};
    return {reduce_warp<Sum>(own.x), reduce_warp<Sum>(own.y)};
}

}  // namespace traindyno::cuda
