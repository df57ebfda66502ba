// SPDX-License-Identifier: Apache-2.0
// What the two directions of a norm share.
#pragma once

#include <cstdint>

#include "emulator/device/cuda/kernels/reduce.cuh"
#include "emulator/device/cuda/kernels/storage.cuh"
#include "emulator/device/element_math.hpp"
#include "emulator/device/operand.hpp"

namespace traindyno::cuda {

/// Layer norm subtracts the mean, RMS norm does not.
enum class Center : std::uint8_t { no, yes };

/// The weights of a layer norm are its scale followed by its shift; of an RMS norm the scale alone.
[[nodiscard]] inline Center center_of(const Elementwise& op, const Operand& weights) {
    return weights.elements == 2 * op.columns ? Center::yes : Center::no;
}

struct RowStatistics {
    float mean = 0;
    float inverse_deviation = 0;
};

template <class T, int width>
__device__ __forceinline__ float sum_of(const Pack<T, width>& x) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < width; ++i) {
        sum += x[i];
    }
    return sum;
}

template <class T, int width>
__device__ __forceinline__ float squares_of(const Pack<T, width>& x, float mean) {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < width; ++i) {
        const float d = x[i] - mean;
        squares += d * d;
    }
    return squares;
}

/// Statistics of a row that the block reads twice. Once per kernel.
template <int width, Center center, class T>
__device__ RowStatistics statistics_of(const T* x, std::int64_t columns) {
    __shared__ Slots slots[2];
    const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * width;
    const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * width;
    const float count = static_cast<float>(columns);
    RowStatistics s;
    if constexpr (center == Center::yes) {
        float sum = 0;
        for (std::int64_t column = first; column < columns; column += step) {
            sum += sum_of(load<width>(x + column));
        }
        s.mean = reduce_block<Sum>(sum, slots[0]) / count;
    }
    float squares = 0;
    for (std::int64_t column = first; column < columns; column += step) {
        squares += squares_of(load<width>(x + column), s.mean);
    }
    s.inverse_deviation = inverse_deviation(reduce_block<Sum>(squares, slots[1]) / count);
    return s;
}

}  // namespace traindyno::cuda
