// SPDX-License-Identifier: Apache-2.0
// How kernels divide their work into vectors, threads and blocks: tested where no GPU is.
#pragma once

#include <cstdint>
#include <span>

#include "emulator/program/op.hpp"

namespace traindyno::cuda {

inline constexpr int vector_bytes = 16;  ///< the widest load of a thread
inline constexpr int warp_threads = 32;

/// Where an array begins.
struct Placement {
    std::uintptr_t address = 0;
    std::int64_t element_size = 0;
};

/// An array cut into vectors: `head` elements before and `tail` after them.
struct VectorSplit {
    std::int64_t head = 0;
    std::int64_t vectors = 0;
    std::int64_t tail = 0;

    friend bool operator==(const VectorSplit&, const VectorSplit&) = default;
};

/// The cut that aligns vectors of `width` elements in all arrays; all head if there is none.
[[nodiscard]] VectorSplit split_vectors(std::span<const Placement> arrays,
                                        std::int64_t elements,
                                        int width);

/// Whether every row of `columns` elements consists of aligned vectors in all arrays.
[[nodiscard]] bool rows_are_vectors(std::span<const Placement> arrays,
                                    std::int64_t columns,
                                    int width);

/// Blocks of a loop over `items`, of which a block takes `items_per_block` at a time.
[[nodiscard]] std::int64_t loop_blocks(std::int64_t items,
                                       std::int64_t items_per_block,
                                       int multiprocessors);

/// Threads that keep their column and walk down the rows.
struct ColumnWalk {
    int threads = 0;
    std::int64_t column_blocks = 0;
    std::int64_t row_blocks = 0;
};

[[nodiscard]] ColumnWalk column_walk(std::int64_t rows,
                                     std::int64_t vectors_per_row,
                                     int multiprocessors);

/// A row held in the registers of a block. vectors_per_thread 0: too long, it is read again.
struct RowBlock {
    int threads = 0;
    int vectors_per_thread = 0;
    std::int64_t blocks = 0;
};

[[nodiscard]] RowBlock norm_forward_block(std::int64_t rows, std::int64_t vectors_per_row);

/// Also holds column sums in registers, and two rows of two arrays in shared memory: at most
/// norm_backward_vectors a row. A block takes every blocks-th row.
[[nodiscard]] RowBlock norm_backward_block(std::int64_t rows,
                                           std::int64_t vectors_per_row,
                                           int multiprocessors);
inline constexpr std::int64_t norm_backward_vectors = 1536;

inline constexpr int sum_warps = 8;  ///< of a block that sums columns; they share its rows

/// Into how many parts the rows are divided to sum columns.
[[nodiscard]] std::int64_t row_groups(std::int64_t rows, std::int64_t columns, int multiprocessors);

/// fp32 scratch that `op` needs, for operands of any type and alignment.
[[nodiscard]] std::int64_t scratch_elements(const Elementwise& op, int multiprocessors);

}  // namespace traindyno::cuda
