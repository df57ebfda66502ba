// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/kernels/column_sums.cuh"

namespace traindyno::cuda {

namespace {

template <class T, int width>
__global__ void __launch_bounds__(sum_threads)
    sum_row_group(const T* dy, float* partial, std::int64_t rows, std::int64_t columns) {
    __shared__ WarpSums<width> shared;
    constexpr int ahead = 4;  // rows loaded before any is added
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    const std::int64_t tile = std::int64_t{blockIdx.x} * warp_threads * width;
    const std::int64_t column = tile + lane * width;
    const std::int64_t step = std::int64_t{gridDim.y} * sum_warps;
    float sums[width] = {};
    for (std::int64_t first = std::int64_t{blockIdx.y} * sum_warps + warp;
         first < rows && column < columns;
         first += step * ahead) {
        Pack<T, width> loaded[ahead];
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            if (first + a * step < rows) {
                loaded[a] = load_once<width>(dy + (first + a * step) * columns + column);
            }
        }
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            if (first + a * step < rows) {
#pragma unroll
                for (int i = 0; i < width; ++i) {
                    sums[i] += loaded[a][i];
                }
            }
        }
    }
    store_warp_sums<width>(sums, shared, partial + blockIdx.y * columns + tile, columns - tile);
}

template <class Gradient>
__global__ void __launch_bounds__(sum_threads)
    add_groups(const float* partial, std::int64_t groups, Gradient* out, std::int64_t columns) {
    __shared__ WarpSums<1> shared;
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    const std::int64_t column = std::int64_t{blockIdx.x} * warp_threads + lane;
    float sum = 0;
    if (column < columns) {
#pragma unroll 8
        for (std::int64_t group = warp; group < groups; group += sum_warps) {
            sum += partial[group * columns + column];
        }
    }
    shared[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < columns) {
        float total = 0;
#pragma unroll
        for (int w = 0; w < sum_warps; ++w) {
            total += shared[w][lane];
        }
        put(out + column, to_float(out[column]) + total);
    }
}

}  // namespace

void add_partial_sums(const float* partial,
                      std::int64_t groups,
                      const Operand& out,
                      cudaStream_t stream) {
    with_type(out.dtype, [&](auto type) {
        add_groups<<<sum_grid(out.elements, 1, 1), sum_threads, 0, stream>>>(
            partial, groups, out.as<decltype(type)>(), out.elements);
    });
    check_launch("add_groups");
}

namespace detail {

void run_bias_gradient(const Elementwise& op,
                       Operands reads,
                       Operands writes,
                       const KernelContext& context) {
    const std::int64_t groups = row_groups(op.rows, op.columns, context.multiprocessors);
    with_type(reads[0].dtype, [&](auto type) {
        using T = decltype(type);
        const auto run = [&](auto width) {
            const dim3 grid = sum_grid(op.columns, groups, width());
            sum_row_group<T, width()><<<grid, sum_threads, 0, context.stream>>>(
                reads[0].as<const T>(), context.scratch, op.rows, op.columns);
        };
        with_row_width<T>(op.columns, run, reads[0]);
    });
    check_launch("sum_row_group");
    add_partial_sums(context.scratch, groups, writes[0], context.stream);
}

}  // namespace detail

}  // namespace traindyno::cuda
