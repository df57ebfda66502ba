// SPDX-License-Identifier: Apache-2.0
// Gradient of LayerNorm and RMSNorm for rows that are too long for a block, or not made of vectors.
#include "emulator/device/cuda/kernels/column_sums.cuh"
#include "emulator/device/cuda/kernels/norm_gradient.cuh"

namespace traindyno::cuda {

namespace {

constexpr int row_threads = 512;

template <class T, int width, Center center>
__global__ void __launch_bounds__(row_threads)
    find_row_statistics(const NormGradient<T> op, float4* statistics) {
    __shared__ PairSlots slots[2];
    const std::int64_t begin = blockIdx.x * op.columns;
    const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * width;
    const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * width;
    GradientSums sums;
    if constexpr (center == Center::yes) {
        float2 plain{0.0F, 0.0F};
        for (std::int64_t column = first; column < op.columns; column += step) {
            add_plain(plain,
                      load<width>(op.x + begin + column),
                      load<width>(op.dy + begin + column),
                      load_shared<width>(op.scale + column));
        }
        sums.plain = sum_pairs(plain, slots[0]);
    }
    const float mean = sums.plain.x / static_cast<float>(op.columns);
    float2 centered{0.0F, 0.0F};
    for (std::int64_t column = first; column < op.columns; column += step) {
        add_centered(centered,
                     load<width>(op.x + begin + column),
                     load<width>(op.dy + begin + column),
                     load_shared<width>(op.scale + column),
                     mean);
    }
    sums.centered = sum_pairs(centered, slots[1]);
    if (threadIdx.x == 0) {
        const GradientStatistics s = gradient_statistics(sums, op.columns);
        statistics[blockIdx.x] = {s.row.mean, s.row.inverse_deviation, s.mean_gradient, s.along};
    }
}

/// A block takes a tile of columns and every gridDim.y-th batch of rows.
template <class T, int width, Center center>
__global__ void __launch_bounds__(sum_threads)
    norm_gradient_tile(const NormGradient<T> op, const float4* statistics) {
    __shared__ WarpSums<width> shared;
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const int warp = static_cast<int>(threadIdx.x) / warp_threads;
    const std::int64_t tile = std::int64_t{blockIdx.x} * warp_threads * width;
    const std::int64_t column = tile + lane * width;
    WeightSums<width> sums = {};
    if (column < op.columns) {
        const auto scale = load_shared<width>(op.scale + column);
#pragma unroll 2
        for (std::int64_t row = std::int64_t{blockIdx.y} * sum_warps + warp; row < op.rows;
             row += std::int64_t{gridDim.y} * sum_warps) {
            const std::int64_t at = row * op.columns + column;
            const float4 s = __ldg(statistics + row);
            store(op.dx + at,
                  gradient_of(load_once<width>(op.x + at),
                              load_once<width>(op.dy + at),
                              scale,
                              {{s.x, s.y}, s.z, s.w},
                              sums));
        }
    }
    const std::int64_t weights = center == Center::yes ? 2 * op.columns : op.columns;
    float* to = op.partial + blockIdx.y * weights + tile;
    store_warp_sums<width>(sums.scale, shared, to, op.columns - tile);
    if constexpr (center == Center::yes) {
        store_warp_sums<width>(sums.shift, shared, to + op.columns, op.columns - tile);
    }
}

template <Center center, int width, class T>
void launch_passes(const NormGradient<T>& op,
                   std::int64_t groups,
                   float4* statistics,
                   cudaStream_t stream) {
    find_row_statistics<T, width, center>
        <<<grid_of(op.rows), row_threads, 0, stream>>>(op, statistics);
    check_launch("find_row_statistics");
    norm_gradient_tile<T, width, center>
        <<<sum_grid(op.columns, groups, width), sum_threads, 0, stream>>>(op, statistics);
    check_launch("norm_gradient_tile");
}

}  // namespace

template <class T, int width>
void norm_backward_in_two_passes(const NormGradient<T>& op,
                                 Center center,
                                 const Operand& weight_gradient,
                                 const KernelContext& context) {
    const std::int64_t groups = row_groups(op.rows, op.columns, context.multiprocessors);
    auto* const statistics = reinterpret_cast<float4*>(context.scratch);
    NormGradient<T> with_sums = op;
    with_sums.partial = context.scratch + 4 * op.rows;
    if (center == Center::yes) {
        launch_passes<Center::yes, width>(with_sums, groups, statistics, context.stream);
    } else {
        launch_passes<Center::no, width>(with_sums, groups, statistics, context.stream);
    }
    add_partial_sums(with_sums.partial, groups, weight_gradient, context.stream);
}

template void norm_backward_in_two_passes<float, full_width<float>>(const NormGradient<float>&,
                                                                    Center,
                                                                    const Operand&,
                                                                    const KernelContext&);
template void norm_backward_in_two_passes<float, 1>(const NormGradient<float>&,
                                                    Center,
                                                    const Operand&,
                                                    const KernelContext&);
template void norm_backward_in_two_passes<__nv_bfloat16, full_width<__nv_bfloat16>>(
    const NormGradient<__nv_bfloat16>&, Center, const Operand&, const KernelContext&);
template void norm_backward_in_two_passes<__nv_bfloat16, 1>(const NormGradient<__nv_bfloat16>&,
                                                            Center,
                                                            const Operand&,
                                                            const KernelContext&);
template void norm_backward_in_two_passes<__half, full_width<__half>>(const NormGradient<__half>&,
                                                                      Center,
                                                                      const Operand&,
                                                                      const KernelContext&);
template void norm_backward_in_two_passes<__half, 1>(const NormGradient<__half>&,
                                                     Center,
                                                     const Operand&,
                                                     const KernelContext&);

}  // namespace traindyno::cuda
