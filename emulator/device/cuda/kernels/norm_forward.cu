// SPDX-License-Identifier: Apache-2.0
// LayerNorm and RMSNorm: a block per row, which stays in registers between its sums.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/cuda/kernels/norm.cuh"
#include "emulator/device/cuda/kernels/reduce.cuh"
#include "emulator/device/element_math.hpp"

namespace traindyno::cuda {

namespace {

template <class T>
struct Norm {
    const T* x;
    const T* scale;  ///< followed by the shift, if there is one
    T* y;
    std::int64_t columns;
};

template <Center center, int width, class T>
__device__ __forceinline__ void store_normed(const Norm<T>& op,
                                             const Pack<T, width>& x,
                                             const RowStatistics& s,
                                             std::int64_t column,
                                             T* to) {
    const auto scale = load_shared<width>(op.scale + column);
    float y[width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
        y[i] = (x[i] - s.mean) * s.inverse_deviation * scale[i];
    }
    if constexpr (center == Center::yes) {
        const auto shift = load_shared<width>(op.scale + op.columns + column);
#pragma unroll
        for (int i = 0; i < width; ++i) {
            y[i] += shift[i];
        }
    }
    store(to + column, packed<T>(y));
}

constexpr int most_threads(int vectors_per_thread) {
    return vectors_per_thread < 8 ? 512 : 1024;
}

template <class T, int per_thread, Center center>
__global__ void __launch_bounds__(most_threads(per_thread), 1536 / most_threads(per_thread))
    norm_row_in_registers(const Norm<T> op) {
    constexpr int width = full_width<T>;
    __shared__ Slots slots[2];
    const int vectors = static_cast<int>(op.columns) / width;
    const std::int64_t row = blockIdx.x * op.columns;
    Pack<T, width> x[per_thread];
    float sum = 0;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        const int vector = static_cast<int>(threadIdx.x + j * blockDim.x);
        if (vector < vectors) {
            x[j] = load_once<width>(op.x + row + vector * width);
        }
    }
    RowStatistics s;
    if constexpr (center == Center::yes) {
#pragma unroll
        for (int j = 0; j < per_thread; ++j) {
            if (static_cast<int>(threadIdx.x + j * blockDim.x) < vectors) {
                sum += sum_of(x[j]);
            }
        }
        s.mean = reduce_block<Sum>(sum, slots[0]) / static_cast<float>(op.columns);
    }
    float squares = 0;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        if (static_cast<int>(threadIdx.x + j * blockDim.x) < vectors) {
            squares += squares_of(x[j], s.mean);
        }
    }
    squares = reduce_block<Sum>(squares, slots[1]);
    s.inverse_deviation = inverse_deviation(squares / static_cast<float>(op.columns));
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        const int vector = static_cast<int>(threadIdx.x + j * blockDim.x);
        if (vector < vectors) {
            store_normed<center>(op, x[j], s, vector * width, op.y + row);
        }
    }
}

/// For rows that are too long, or not made of vectors.
template <class T, int width, Center center>
__global__ void __launch_bounds__(512) norm_row_read_again(const Norm<T> op) {
    const T* from = op.x + blockIdx.x * op.columns;
    const RowStatistics s = statistics_of<width, center>(from, op.columns);
    for (std::int64_t column = threadIdx.x * width; column < op.columns;
         column += blockDim.x * width) {
        store_normed<center>(
            op, load<width>(from + column), s, column, op.y + blockIdx.x * op.columns);
    }
}

template <class T, int width, Center center>
void (*kernel_of(int vectors_per_thread))(Norm<T>) {
    if constexpr (width > 1) {
        switch (vectors_per_thread) {
            case 1:
                return norm_row_in_registers<T, 1, center>;
            case 2:
                return norm_row_in_registers<T, 2, center>;
            case 4:
                return norm_row_in_registers<T, 4, center>;
            case 8:
                return norm_row_in_registers<T, 8, center>;
            default:
                break;
        }
    }
    return norm_row_read_again<T, width, center>;
}

}  // namespace

namespace detail {

void run_norm_forward(const Elementwise& op,
                      Operands reads,
                      Operands writes,
                      const KernelContext& context) {
    with_type(writes[0].dtype, [&](auto type) {
        using T = decltype(type);
        const Norm<T> arguments{.x = reads[0].as<const T>(),
                                .scale = reads[1].as<const T>(),
                                .y = writes[0].as<T>(),
                                .columns = op.columns};
        const auto run = [&](auto width) {
            const RowBlock shape = norm_forward_block(op.rows, op.columns / width());
            const auto kernel = center_of(op, reads[1]) == Center::yes
                                    ? kernel_of<T, width(), Center::yes>(shape.vectors_per_thread)
                                    : kernel_of<T, width(), Center::no>(shape.vectors_per_thread);
            kernel<<<grid_of(shape.blocks), shape.threads, 0, context.stream>>>(arguments);
        };
        with_row_width<T>(op.columns, run, reads[0], reads[1], writes[0]);
    });
    check_launch("norm_forward");
}

}  // namespace detail

}  // namespace traindyno::cuda
