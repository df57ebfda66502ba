// SPDX-License-Identifier: Apache-2.0
// Softmax cross entropy and its gradient, in place: a block reads its row for the sum of
// exponentials and again, mostly from the L2 cache, to replace it.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/cuda/kernels/reduce.cuh"
#include "emulator/device/random_values.hpp"

namespace traindyno::cuda {

namespace {

constexpr int row_threads = 512;
constexpr int mean_threads = 1024;

/// Calls visit.template operator()<width>(column) for the columns that begin this thread's vectors
/// and single elements. Rows need not be aligned.
template <class T, class Visit>
__device__ __forceinline__ void for_each_pack(const T* row, std::int64_t columns, Visit&& visit) {
    constexpr int width = full_width<T>;
    const std::int64_t before =
        static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(row) % vector_bytes / sizeof(T));
    const std::int64_t wanted = (width - before) % width;
    const std::int64_t head = wanted < columns ? wanted : columns;
    const std::int64_t vectors = (columns - head) / width;
    if (threadIdx.x < head) {
        visit.template operator()<1>(threadIdx.x);
    }
#pragma unroll 4
    for (std::int64_t vector = threadIdx.x; vector < vectors; vector += blockDim.x) {
        visit.template operator()<width>(head + vector * width);
    }
    const std::int64_t last = head + vectors * width + threadIdx.x;
    if (last < columns) {
        visit.template operator()<1>(last);
    }
}

/// A maximum, and the sum of e^(x - maximum).
struct Exponentials {
    float largest = Largest::neutral;
    float sum = 0;

    template <class T, int width>
    __device__ __forceinline__ void add(const Pack<T, width>& x) {
        float most = largest;
#pragma unroll
        for (int i = 0; i < width; ++i) {
            most = fmaxf(most, x[i]);
        }
        sum *= exp2_fast((largest - most) * log2_e);
#pragma unroll
        for (int i = 0; i < width; ++i) {
            sum += exp2_fast((x[i] - most) * log2_e);
        }
        largest = most;
    }
};

template <class T>
struct CrossEntropy {
    T* logits;
    float* losses;  ///< [rows]
    std::int64_t rows;
    std::int64_t columns;
    std::uint32_t seed;
};

template <class T>
__global__ void __launch_bounds__(row_threads, 3) cross_entropy_rows(const CrossEntropy<T> op) {
    __shared__ Slots slots[2];
    const std::int64_t row = blockIdx.x;
    T* logits = op.logits + row * op.columns;
    const std::int64_t target = target_of(op.seed, row, op.columns);
    const float at_target = to_float(logits[target]);  // before anyone replaces it
    Exponentials own;
    for_each_pack(logits, op.columns, [&]<int width>(std::int64_t column) {
        own.add(load<width>(logits + column));
    });
    const float largest = reduce_block<Largest>(own.largest, slots[0]);
    const float sum =
        reduce_block<Sum>(own.sum * exp2_fast((own.largest - largest) * log2_e), slots[1]);
    const float weight = 1.0F / static_cast<float>(op.rows);
    const float factor = weight / sum;
    for_each_pack(logits, op.columns, [&]<int width>(std::int64_t column) {
        const auto x = load<width>(logits + column);
        float gradient[width];
#pragma unroll
        for (int i = 0; i < width; ++i) {
            gradient[i] = exp2_fast((x[i] - largest) * log2_e) * factor;
            gradient[i] -= column + i == target ? weight : 0.0F;
        }
        store(logits + column, packed<T>(gradient));
    });
    if (threadIdx.x == 0) {
        op.losses[row] = logf(sum) + largest - at_target;
    }
}

/// *mean <- mean of values, by one block.
__global__ void __launch_bounds__(mean_threads)
    find_mean(const float* values, std::int64_t count, float* mean) {
    __shared__ Slots slots[1];
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        sum += static_cast<double>(values[i]);
    }
    const float total =
        reduce_block<Sum>(static_cast<float>(sum / static_cast<double>(count)), slots[0]);
    if (threadIdx.x == 0) {
        *mean = total;
    }
}

}  // namespace

namespace detail {

void run_cross_entropy(const Elementwise& op,
                       Operands /*reads*/,
                       Operands writes,
                       const KernelContext& context) {
    with_type(writes[0].dtype, [&](auto type) {
        using T = decltype(type);
        const CrossEntropy<T> arguments{.logits = writes[0].as<T>(),
                                        .losses = context.scratch,
                                        .rows = op.rows,
                                        .columns = op.columns,
                                        .seed = context.seed};
        cross_entropy_rows<<<grid_of(op.rows), row_threads, 0, context.stream>>>(arguments);
    });
    check_launch("cross_entropy_rows");
    find_mean<<<1, mean_threads, 0, context.stream>>>(
        context.scratch, op.rows, writes[1].as<float>());
    check_launch("find_mean");
}

}  // namespace detail

}  // namespace traindyno::cuda
