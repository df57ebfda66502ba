// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding in place; like the CPU's, with frequencies that repeat every 64
// columns.
#include <cmath>

#include "emulator/device/cuda/kernels/launch.cuh"

namespace traindyno::cuda {

namespace {

constexpr int half = 32;  // element i of a block is rotated with element i + 32
constexpr int row_threads = 256;

/// Turns per row of each pair: 10000^(-i/32) / 2 pi (Su et al., arXiv:2104.09864).
struct Frequencies {
    double turns[half];
};

template <class T>
struct Rotary {
    T* x;
    std::int64_t columns;  ///< that are rotated
    std::int64_t stride;   ///< of rows
    float direction;       ///< -1: the inverse, which is also the gradient
};

template <class T, int width>
__global__ void __launch_bounds__(row_threads)
    rotate_rows(const Rotary<T> op, const Frequencies frequencies) {
    __shared__ float cosine[half];
    __shared__ float sine[half];
    if (threadIdx.x < half) {
        // Whole turns are dropped in fp64: fp32 would lose the angle of late rows.
        const double turns = frequencies.turns[threadIdx.x] * static_cast<double>(blockIdx.x);
        sincospif(2.0F * static_cast<float>(turns - floor(turns)),
                  &sine[threadIdx.x],
                  &cosine[threadIdx.x]);
        sine[threadIdx.x] *= op.direction;
    }
    __syncthreads();
    constexpr int packs = half / width;  // of the lower half of a block
    const std::int64_t count = op.columns / (2 * half) * packs;
    T* row = op.x + blockIdx.x * op.stride;
#pragma unroll 2
    for (std::int64_t index = threadIdx.x; index < count; index += row_threads) {
        const int first = static_cast<int>(index % packs) * width;
        T* low = row + index / packs * (2 * half) + first;
        const auto a = load<width>(low);
        const auto b = load<width>(low + half);
        float turned_a[width];
        float turned_b[width];
#pragma unroll
        for (int i = 0; i < width; ++i) {
            const float x = a[i];
            const float y = b[i];
            turned_a[i] = x * cosine[first + i] - y * sine[first + i];
            turned_b[i] = x * sine[first + i] + y * cosine[first + i];
        }
        store(low, packed<T>(turned_a));
        store(low + half, packed<T>(turned_b));
    }
}

Frequencies make_frequencies() {
    Frequencies result{};
    for (int i = 0; i < half; ++i) {
        result.turns[i] = std::pow(10000.0, -static_cast<double>(i) / half) / (2 * M_PI);
    }
    return result;
}

}  // namespace

namespace detail {

void run_rotary(const Elementwise& op,
                Operands /*reads*/,
                Operands writes,
                const KernelContext& context) {
    const Frequencies frequencies = make_frequencies();
    const std::int64_t stride = writes[0].elements / op.rows;
    with_type(writes[0].dtype, [&](auto type) {
        using T = decltype(type);
        const Rotary<T> rotary{
            .x = writes[0].as<T>(),
            .columns = op.columns,
            .stride = stride,
            .direction = op.kind == ElementwiseKind::rotary_forward ? 1.0F : -1.0F};
        const auto run = [&](auto width) {
            rotate_rows<T, width()>
                <<<grid_of(op.rows), row_threads, 0, context.stream>>>(rotary, frequencies);
        };
        with_row_width<T>(stride, run, writes[0]);
    });
    check_launch("rotate_rows");
}

}  // namespace detail

}  // namespace traindyno::cuda
