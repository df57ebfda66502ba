// SPDX-License-Identifier: Apache-2.0
// Arithmetic of the gradient of a norm, for one vector of a row.
#pragma once

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/cuda/kernels/norm.cuh"

namespace traindyno::cuda {

template <class T>
struct NormGradient {
    const T* x;
    const T* dy;
    const T* scale;
    T* dx;
    float* partial;  ///< [blocks or groups, weights]: gradients of scale, then shift
    std::int64_t rows;
    std::int64_t columns;
};

/// Sums over a row.
struct GradientSums {
    float2 plain{0.0F, 0.0F};     ///< of x, and of dy scale; 0 for RMS norm, which needs neither
    float2 centered{0.0F, 0.0F};  ///< of (x - mean)^2, and of dy scale (x - mean)
};

/// dx = inverse_deviation (dy scale - mean_gradient - x_hat along)
struct GradientStatistics {
    RowStatistics row;
    float mean_gradient;
    float along;
};

__device__ __forceinline__ GradientStatistics gradient_statistics(const GradientSums& sums,
                                                                  std::int64_t columns) {
    const float count = static_cast<float>(columns);
    const float inverse = inverse_deviation(sums.centered.x / count);
    return {
        {sums.plain.x / count, inverse}, sums.plain.y / count, sums.centered.y * inverse / count};
}

template <class T, int width>
__device__ __forceinline__ void add_plain(float2& sums,
                                          const Pack<T, width>& x,
                                          const Pack<T, width>& dy,
                                          const Pack<T, width>& scale) {
#pragma unroll
    for (int i = 0; i < width; ++i) {
        sums.x += x[i];
        sums.y += dy[i] * scale[i];
    }
}

template <class T, int width>
__device__ __forceinline__ void add_centered(float2& sums,
                                             const Pack<T, width>& x,
                                             const Pack<T, width>& dy,
                                             const Pack<T, width>& scale,
                                             float mean) {
#pragma unroll
    for (int i = 0; i < width; ++i) {
        const float d = x[i] - mean;
        sums.x += d * d;
        sums.y += dy[i] * scale[i] * d;
    }
}

/// A thread's sums over rows for the gradient of the weights.
template <int width>
struct WeightSums {
    float scale[width];
    float shift[width];
};

/// dx of a vector, whose part in the weights' gradient is added to `sums`.
template <class T, int width>
__device__ __forceinline__ Pack<T, width> gradient_of(const Pack<T, width>& x,
                                                      const Pack<T, width>& dy,
                                                      const Pack<T, width>& scale,
                                                      const GradientStatistics& s,
                                                      WeightSums<width>& sums) {
    float dx[width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
        const float x_hat = (x[i] - s.row.mean) * s.row.inverse_deviation;
        const float d = dy[i];
        sums.scale[i] += d * x_hat;
        sums.shift[i] += d;
        dx[i] = s.row.inverse_deviation * (d * scale[i] - s.mean_gradient - x_hat * s.along);
    }
    return packed<T>(dx);
}

/// For rows that a block cannot hold: read for their statistics, then for the gradients.
template <class T, int width>
void norm_backward_in_two_passes(const NormGradient<T>& op,
                                 Center center,
                                 const Operand& weight_gradient,
                                 const KernelContext& context);

}  // namespace traindyno::cuda
