// SPDX-License-Identifier: Apache-2.0
// Sum of squares in two stages, in the same order in every run.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/cuda/kernels/reduce.cuh"

namespace traindyno::cuda {

namespace {

constexpr int block_threads = 256;
constexpr int total_threads = 1024;
constexpr int loads_ahead = 4;

/// partial[block] <- squares of the vectors that the block takes in turns.
template <class T>
__global__ void __launch_bounds__(block_threads)
    sum_squares(const T* x, const VectorSplit split, float* partial) {
    constexpr int width = full_width<T>;
    __shared__ Slots slots[1];
    const std::int64_t step = std::int64_t{gridDim.x} * block_threads * loads_ahead;
    double sum = 0;
    for (std::int64_t first = std::int64_t{blockIdx.x} * block_threads * loads_ahead + threadIdx.x;
         first < split.vectors;
         first += step) {
        Pack<T, width> loaded[loads_ahead] = {};
#pragma unroll
        for (int a = 0; a < loads_ahead; ++a) {
            const std::int64_t vector = first + a * block_threads;
            if (vector < split.vectors) {
                loaded[a] = load_once<width>(x + split.head + vector * width);
            }
        }
        float squares = 0;
#pragma unroll
        for (int a = 0; a < loads_ahead; ++a) {
#pragma unroll
            for (int i = 0; i < width; ++i) {
                const float value = loaded[a][i];
                squares += value * value;
            }
        }
        sum += static_cast<double>(squares);
    }
    for (std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
         i < split.head + split.tail;
         i += std::int64_t{gridDim.x} * block_threads) {
        const std::int64_t at = i < split.head ? i : i + split.vectors * width;
        const float value = to_float(x[at]);
        sum += static_cast<double>(value * value);
    }
    const float total = reduce_block<Sum>(static_cast<float>(sum), slots[0]);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = total;
    }
}

__global__ void __launch_bounds__(total_threads)
    add_up(const float* partial, std::int64_t count, const float* before, float* total) {
    __shared__ Slots slots[1];
    double own = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += total_threads) {
        own += static_cast<double>(partial[i]);
    }
    const float sum = reduce_block<Sum>(static_cast<float>(own), slots[0]);
    if (threadIdx.x == 0) {
        *total = before == nullptr ? sum : *before + sum;
    }
}

}  // namespace

namespace detail {

void run_sum_of_squares(const Elementwise& /*op*/,
                        Operands reads,
                        Operands writes,
                        const KernelContext& context) {
    const std::array places{placement_of(reads[0])};
    std::int64_t blocks = 0;
    with_type(reads[0].dtype, [&](auto type) {
        using T = decltype(type);
        const VectorSplit split = split_vectors(places, reads[0].elements, full_width<T>);
        blocks = loop_blocks(split.vectors, block_threads * loads_ahead, context.multiprocessors);
        sum_squares<<<grid_of(blocks), block_threads, 0, context.stream>>>(
            reads[0].as<const T>(), split, context.scratch);
    });
    check_launch("sum_squares");
    const float* before = reads.size() == 2 ? reads[1].as<const float>() : nullptr;
    add_up<<<1, total_threads, 0, context.stream>>>(
        context.scratch, blocks, before, writes[0].as<float>());
    check_launch("add_up");
}

}  // namespace detail

}  // namespace traindyno::cuda
