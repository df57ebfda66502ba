// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/kernels/geometry.hpp"

#include <algorithm>

namespace traindyno::cuda {

namespace {

constexpr int block_threads = 256;
constexpr std::int64_t loop_blocks_per_multiprocessor = 32;
constexpr std::int64_t walk_blocks_per_multiprocessor = 16;  // two waves of 2048 threads
constexpr std::int64_t sum_blocks_per_multiprocessor = 8;
constexpr std::int64_t most_in_y = 65535;  // blocks; CUDA's limit

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

/// Threads, in whole warps, that hold `vectors` with `per_thread` each.
int threads_for(std::int64_t vectors, int per_thread) {
    return static_cast<int>(divide_up(divide_up(vectors, per_thread), warp_threads) * warp_threads);
}

bool are_aligned(std::span<const Placement> arrays, std::int64_t element, int width) {
    return std::all_of(arrays.begin(), arrays.end(), [&](const Placement& array) {
        const std::int64_t offset = element * array.element_size;
        return (array.address + static_cast<std::uintptr_t>(offset)) %
                   static_cast<std::uintptr_t>(width * array.element_size) ==
               0;
    });
}

std::int64_t norm_backward_scratch(const Elementwise& op, int multiprocessors) {
    constexpr std::int64_t statistics = 4;  // per row, where the row is read twice
    std::int64_t groups = row_groups(op.rows, op.columns, multiprocessors);
    for (const int width : {4, 8}) {
        const std::int64_t vectors = divide_up(op.columns, width);
        groups = std::max(groups, norm_backward_block(op.rows, vectors, multiprocessors).blocks);
    }
    return statistics * op.rows + groups * 2 * op.columns;
}

}  // namespace

VectorSplit split_vectors(std::span<const Placement> arrays, std::int64_t elements, int width) {
    for (std::int64_t head = 0; head < std::min<std::int64_t>(width, elements); ++head) {
        if (are_aligned(arrays, head, width)) {
            const std::int64_t vectors = (elements - head) / width;
            return {head, vectors, elements - head - vectors * width};
        }
    }
    return {elements, 0, 0};
}

bool rows_are_vectors(std::span<const Placement> arrays, std::int64_t columns, int width) {
    return columns % width == 0 && are_aligned(arrays, 0, width);
}

std::int64_t loop_blocks(std::int64_t items, std::int64_t items_per_block, int multiprocessors) {
    return std::clamp<std::int64_t>(
        divide_up(items, items_per_block), 1, loop_blocks_per_multiprocessor * multiprocessors);
}

ColumnWalk column_walk(std::int64_t rows, std::int64_t vectors_per_row, int multiprocessors) {
    ColumnWalk walk;
    walk.column_blocks = divide_up(vectors_per_row, block_threads);
    walk.threads = threads_for(divide_up(vectors_per_row, walk.column_blocks), 1);
    walk.row_blocks = std::clamp<std::int64_t>(
        divide_up(walk_blocks_per_multiprocessor * multiprocessors * block_threads,
                  walk.column_blocks * walk.threads),
        1,
        rows);
    return walk;
}

RowBlock norm_forward_block(std::int64_t rows, std::int64_t vectors_per_row) {
    constexpr int most_threads = 512;  // several blocks share a multiprocessor: one loads while
                                       // another sums
    for (const int per_thread : {1, 2, 4, 8}) {
        const int threads = threads_for(vectors_per_row, per_thread);
        if (threads <= (per_thread < 8 ? most_threads : 2 * most_threads)) {
            return {.threads = threads, .vectors_per_thread = per_thread, .blocks = rows};
        }
    }
    return {.threads = most_threads, .vectors_per_thread = 0, .blocks = rows};
}

RowBlock norm_backward_block(std::int64_t rows, std::int64_t vectors_per_row, int multiprocessors) {
    constexpr int threads_per_multiprocessor = 1024;  // as many as the registers allow
    if (vectors_per_row > norm_backward_vectors) {
        return {};
    }
    const int per_thread = vectors_per_row > norm_backward_vectors / 3 ? 2 : 1;
    const int threads = threads_for(vectors_per_row, per_thread);
    const std::int64_t per_multiprocessor = std::clamp(threads_per_multiprocessor / threads, 1, 8);
    return {.threads = threads,
            .vectors_per_thread = per_thread,
            .blocks = std::min(rows, per_multiprocessor * multiprocessors)};
}

std::int64_t row_groups(std::int64_t rows, std::int64_t columns, int multiprocessors) {
    constexpr std::int64_t widest = 8;  // elements of a vector
    const std::int64_t tiles = divide_up(columns, warp_threads * widest);
    const std::int64_t wanted = divide_up(sum_blocks_per_multiprocessor * multiprocessors, tiles);
    return std::clamp<std::int64_t>(wanted, 1, std::min(divide_up(rows, sum_warps), most_in_y));
}

std::int64_t scratch_elements(const Elementwise& op, int multiprocessors) {
    switch (op.kind) {
        case ElementwiseKind::norm_backward:
            return norm_backward_scratch(op, multiprocessors);
        case ElementwiseKind::bias_gradient:
            return row_groups(op.rows, op.columns, multiprocessors) * op.columns;
        case ElementwiseKind::cross_entropy:
            return op.rows;  // losses
        case ElementwiseKind::sum_of_squares:
            return loop_blocks_per_multiprocessor * multiprocessors;  // sums of blocks
        default:
            return 0;
    }
}

}  // namespace traindyno::cuda
