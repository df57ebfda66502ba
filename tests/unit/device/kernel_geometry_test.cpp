// SPDX-License-Identifier: Apache-2.0
// How CUDA kernels divide their work, for every shape that they may meet.
#include <array>

#include <gtest/gtest.h>

#include "emulator/device/cuda/kernels/geometry.hpp"

namespace traindyno::cuda {
namespace {

constexpr int h200 = 132;  // multiprocessors
constexpr std::array<std::int64_t, 12> lengths{
    1, 7, 8, 63, 64, 1000, 4096, 12288, 12289, 20480, 65536, 1'000'000};

TEST(SplitVectors, cuts_where_all_arrays_are_aligned) {
    const Placement bf16{0x1000, 2};
    const Placement fp32{0x2000, 4};
    EXPECT_EQ(split_vectors(std::array{bf16}, 100, 8), (VectorSplit{0, 12, 4}));
    EXPECT_EQ(split_vectors(std::array{Placement{0x1006, 2}}, 100, 8), (VectorSplit{5, 11, 7}));
    EXPECT_EQ(split_vectors(std::array{bf16, fp32}, 8, 4), (VectorSplit{0, 2, 0}));
    // Both begin one element late: three more, and both are aligned.
    EXPECT_EQ(split_vectors(std::array{Placement{0x1002, 2}, Placement{0x2004, 4}}, 8, 4),
              (VectorSplit{3, 1, 1}));
}

TEST(SplitVectors, is_all_head_where_no_cut_aligns_all_arrays) {
    EXPECT_EQ(split_vectors(std::array{Placement{0x1000, 2}, Placement{0x1002, 2}}, 100, 8),
              (VectorSplit{100, 0, 0}));
    EXPECT_EQ(split_vectors(std::array{Placement{0x1001, 2}}, 100, 8), (VectorSplit{100, 0, 0}));
}

TEST(SplitVectors, covers_every_element_once) {
    for (std::int64_t elements = 0; elements < 40; ++elements) {
        for (std::int64_t shift = 0; shift < 16; ++shift) {
            const auto address = static_cast<std::uintptr_t>(0x1000 + 2 * shift);
            const VectorSplit split = split_vectors(std::array{Placement{address, 2}}, elements, 8);
            EXPECT_EQ(split.head + 8 * split.vectors + split.tail, elements);
            EXPECT_TRUE(split.vectors == 0 || (shift + split.head) % 8 == 0);
        }
    }
}

TEST(RowsAreVectors, needs_aligned_arrays_and_whole_vectors) {
    EXPECT_TRUE(rows_are_vectors(std::array{Placement{0x1000, 2}}, 12288, 8));
    EXPECT_FALSE(rows_are_vectors(std::array{Placement{0x1000, 2}}, 12289, 8));
    EXPECT_FALSE(rows_are_vectors(std::array{Placement{0x1008, 2}}, 12288, 8));
    EXPECT_TRUE(rows_are_vectors(std::array{Placement{0x1002, 2}}, 12289, 1));
}

TEST(LoopBlocks, is_at_least_one_and_bounded_by_the_device) {
    EXPECT_EQ(loop_blocks(0, 256, h200), 1);
    EXPECT_EQ(loop_blocks(257, 256, h200), 2);
    EXPECT_EQ(loop_blocks(std::int64_t{1} << 40, 256, h200), 32 * h200);
}

TEST(ColumnWalk, covers_all_columns_and_leaves_no_block_idle) {
    for (const std::int64_t vectors : lengths) {
        for (const std::int64_t rows : {1, 2048, 100'000}) {
            const ColumnWalk walk = column_walk(rows, vectors, h200);
            EXPECT_GE(walk.column_blocks * walk.threads, vectors);
            EXPECT_LT((walk.column_blocks - 1) * walk.threads, vectors);
            EXPECT_LE(walk.threads, 256);
            EXPECT_EQ(walk.threads % warp_threads, 0);
            EXPECT_GE(walk.row_blocks, 1);
            EXPECT_LE(walk.row_blocks, rows);
        }
    }
}

TEST(NormForwardBlock, holds_the_row_or_reads_it_again) {
    for (const std::int64_t vectors : lengths) {
        const RowBlock block = norm_forward_block(2048, vectors);
        EXPECT_EQ(block.blocks, 2048);
        EXPECT_EQ(block.threads % warp_threads, 0);
        EXPECT_LE(block.threads, block.vectors_per_thread == 8 ? 1024 : 512);
        EXPECT_EQ(block.vectors_per_thread == 0, vectors > 8192) << vectors;
        if (block.vectors_per_thread > 0) {
            EXPECT_GE(block.threads * block.vectors_per_thread, vectors);
        }
    }
    const RowBlock gpt3 = norm_forward_block(2048, 12288 / 8);
    EXPECT_EQ(gpt3.threads * gpt3.vectors_per_thread, 1536);  // no thread without work
}

TEST(NormBackwardBlock, holds_rows_up_to_its_limit) {
    for (std::int64_t vectors = 1; vectors <= norm_backward_vectors; ++vectors) {
        const RowBlock block = norm_backward_block(2048, vectors, h200);
        EXPECT_GE(block.threads * block.vectors_per_thread, vectors);
        EXPECT_LE(block.threads, block.vectors_per_thread == 1 ? 512 : 768);
        EXPECT_GE(block.blocks, h200);
    }
    EXPECT_EQ(norm_backward_block(5, 1536, h200).blocks, 5);
    EXPECT_EQ(norm_backward_block(5, norm_backward_vectors + 1, h200).blocks, 0);
}

TEST(RowGroups, are_never_empty) {
    for (const std::int64_t columns : lengths) {
        for (const std::int64_t rows : {1, 7, 8, 9, 2048, 10'000'000}) {
            const std::int64_t groups = row_groups(rows, columns, h200);
            EXPECT_GE(groups, 1);
            EXPECT_LT((groups - 1) * sum_warps, rows);
            EXPECT_LE(groups, 65535);
        }
    }
}

TEST(ScratchElements, hold_the_partial_sums_of_every_way_to_run_the_operation) {
    for (const std::int64_t columns : lengths) {
        for (const std::int64_t rows : {1, 20, 2048}) {
            const auto scratch = [&](ElementwiseKind kind) {
                Elementwise op;
                op.kind = kind;
                op.rows = rows;
                op.columns = columns;
                return cuda::scratch_elements(op, h200);
            };
            const std::int64_t groups = row_groups(rows, columns, h200);
            const std::int64_t norm = scratch(ElementwiseKind::norm_backward);
            EXPECT_GE(norm, 4 * rows + groups * 2 * columns);
            for (const int width : {4, 8}) {
                if (columns % width == 0) {
                    const auto blocks = norm_backward_block(rows, columns / width, h200).blocks;
                    EXPECT_GE(norm, blocks * 2 * columns);
                }
            }
            EXPECT_EQ(scratch(ElementwiseKind::bias_gradient), groups * columns);
            EXPECT_EQ(scratch(ElementwiseKind::cross_entropy), rows);
            EXPECT_EQ(scratch(ElementwiseKind::gelu_forward), 0);
        }
    }
    Elementwise sum;
    sum.kind = ElementwiseKind::sum_of_squares;
    EXPECT_GE(cuda::scratch_elements(sum, h200), loop_blocks(std::int64_t{1} << 40, 1, h200));
}

}  // namespace
}  // namespace traindyno::cuda
