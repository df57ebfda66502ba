// SPDX-License-Identifier: Apache-2.0
// In-step verification of reductions on the device: marks elements before, checks them after.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/reduction_pattern.hpp"

namespace traindyno::cuda {

namespace {

constexpr int block_threads = 256;
constexpr int few_multiprocessors = 4;  // a buffer of 400 MB has 24 thousand marks

template <class T>
__global__ void __launch_bounds__(block_threads)
    stamp_marks(T* buffer, std::int64_t elements, std::int64_t rank, std::uint32_t key) {
    for (std::int64_t mark = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
         mark < marks_in(elements);
         mark += std::int64_t{gridDim.x} * block_threads) {
        const std::int64_t index = marked_element(mark, elements);
        put(buffer + index, static_cast<float>(pattern(rank, key, index)));
    }
}

struct Check {
    DType type;
    Reduction reduction;
    std::int64_t elements;
    std::int64_t size;
    std::uint32_t key;
};

template <class T>
__global__ void __launch_bounds__(block_threads)
    check_marks(const T* buffer, const Check check, PatternCounters* counters) {
    unsigned checked = 0;
    unsigned wrong = 0;
    for (std::int64_t mark = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
         mark < marks_in(check.elements);
         mark += std::int64_t{gridDim.x} * block_threads) {
        const std::int64_t index = marked_element(mark, check.elements);
        const float expected = reduced_pattern(check.reduction, check.size, check.key, index);
        const float error = fabsf(to_float(buffer[index]) - expected);
        ++checked;
        // Negated so that a NaN counts as wrong.
        const float tolerance =
            pattern_tolerance(check.type, check.reduction, expected, check.size);
        wrong += !(error <= tolerance) ? 1 : 0;
    }
    if (checked > 0) {
        atomicAdd(&counters->checked, checked);
    }
    if (wrong > 0) {
        atomicAdd(&counters->wrong, wrong);
    }
}

dim3 grid_for(std::int64_t elements) {
    return grid_of(loop_blocks(marks_in(elements), block_threads, few_multiprocessors));
}

}  // namespace

void stamp_pattern(std::byte* buffer,
                   DType type,
                   std::int64_t elements,
                   GroupRank rank,
                   std::uint32_t key,
                   cudaStream_t stream) {
    with_type(type, [&](auto value) {
        using T = decltype(value);
        stamp_marks<<<grid_for(elements), block_threads, 0, stream>>>(
            reinterpret_cast<T*>(buffer), elements, std::int64_t{rank.value()}, key);
    });
    check_launch("stamp_marks");
}

void check_pattern(const std::byte* buffer,
                   DType type,
                   std::int64_t elements,
                   Reduction reduction,
                   std::int64_t size,
                   std::uint32_t key,
                   PatternCounters* counters,
                   cudaStream_t stream) {
    const Check check{
        .type = type, .reduction = reduction, .elements = elements, .size = size, .key = key};
    with_type(type, [&](auto value) {
        using T = decltype(value);
        check_marks<<<grid_for(elements), block_threads, 0, stream>>>(
            reinterpret_cast<const T*>(buffer), check, counters);
    });
    check_launch("check_marks");
}

}  // namespace traindyno::cuda
