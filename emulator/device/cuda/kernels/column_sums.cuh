// SPDX-License-Identifier: Apache-2.0
// Sums over rows in two stages: blocks sum groups of rows into scratch, then these are added up.
#pragma once

#include <cstdint>

#include "emulator/device/cuda/kernels/launch.cuh"

namespace traindyno::cuda {

/// A block sums `width` columns per lane; its warps share the rows of its group (blockIdx.y).
inline constexpr int sum_threads = warp_threads * sum_warps;

template <int width>
using WarpSums = float[sum_warps][warp_threads * width];

/// Adds up the sums of the block's warps and stores them: to[0] is the block's first column, of
/// which `columns` are left.
template <int width>
__device__ __forceinline__ void store_warp_sums(const float (&sums)[width],
                                                WarpSums<width>& shared,
                                                float* to,
                                                std::int64_t columns) {
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    __syncthreads();  // the sums stored before have been read
#pragma unroll
    for (int i = 0; i < width; ++i) {
        shared[warp][lane * width + i] = sums[i];
    }
    __syncthreads();
    for (int column = static_cast<int>(threadIdx.x);
         column < warp_threads * width && column < columns;
         column += sum_threads) {
        float sum = 0;
#pragma unroll
        for (int w = 0; w < sum_warps; ++w) {
            sum += shared[w][column];
        }
        to[column] = sum;
    }
}

/// Grid of blocks that sum columns, with the rows in `groups`.
[[nodiscard]] inline dim3 sum_grid(std::int64_t columns, std::int64_t groups, int width) {
    const std::int64_t tile = warp_threads * width;
    return grid_of((columns + tile - 1) / tile, groups);
}

/// out[i] += the sum over `groups` of partial[group * out.elements + i].
void add_partial_sums(const float* partial,
                      std::int64_t groups,
                      const Operand& out,
                      cudaStream_t stream);

}  // namespace traindyno::cuda
