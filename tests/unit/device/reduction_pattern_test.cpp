// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/reduction_pattern.hpp"

#include <set>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

TEST(ReductionPattern, marks_every_stride_and_the_last_element_once) {
    for (const std::int64_t elements : {std::int64_t{64},
                                        check_stride,
                                        check_stride + 1,
                                        check_stride + 2,
                                        3 * check_stride + 1,
                                        3 * check_stride + 7}) {
        std::set<std::int64_t> marked;
        for (std::int64_t mark = 0; mark < marks_in(elements); ++mark) {
            marked.insert(marked_element(mark, elements));
        }
        EXPECT_EQ(static_cast<std::int64_t>(marked.size()), marks_in(elements)) << elements;
        std::set<std::int64_t> expected{elements - 1};
        for (std::int64_t index = 0; index < elements; index += check_stride) {
            expected.insert(index);
        }
        EXPECT_EQ(marked, expected) << elements;
    }
}

TEST(ReductionPattern, leaves_small_buffers_alone) {
    EXPECT_EQ(marks_in(0), 0);
    EXPECT_EQ(marks_in(check_minimum - 1), 0);
    EXPECT_EQ(marks_in(check_minimum), 2);
}

TEST(ReductionPattern, tolerates_nothing_while_sums_are_exact_then_half_a_unit_per_addition) {
    const auto of_sum = [](DType type, float expected, std::int64_t size) {
        return pattern_tolerance(type, Reduction::sum, expected, size);
    };
    EXPECT_EQ(of_sum(DType::bf16, 256, 100), 0.0F);
    EXPECT_EQ(of_sum(DType::bf16, 257, 100), 257.0F * 100 / 256);
    EXPECT_EQ(of_sum(DType::fp16, 2048, 800), 0.0F);
    EXPECT_EQ(of_sum(DType::fp16, 2049, 800), 2049.0F * 800 / 2048);
    EXPECT_EQ(of_sum(DType::fp32, 2500, 1000), 0.0F);
}

TEST(ReductionPattern, sums_over_the_usual_group_sizes_tell_seven_keys_apart) {
    for (const std::int64_t size : {1, 2, 3, 4, 5, 6, 8, 12, 16, 64, 512, 1024}) {
        std::set<float> sums;
        for (std::uint32_t key = 0; key < pattern_period; ++key) {
            float sum = 0;
            for (std::int64_t rank = 0; rank < size; ++rank) {
                sum += static_cast<float>(pattern(rank, key, check_stride));
            }
            EXPECT_EQ(reduced_pattern(Reduction::sum, size, key, check_stride), sum);
            sums.insert(sum);
        }
        EXPECT_EQ(sums.size(), 7U) << size;
    }
}

TEST(ReductionPattern, averages_are_sums_divided_and_may_round_at_every_step) {
    for (const std::int64_t size : {1, 3, 4, 7, 1000}) {
        EXPECT_EQ(
            reduced_pattern(Reduction::average, size, 5, check_stride),
            reduced_pattern(Reduction::sum, size, 5, check_stride) / static_cast<float>(size));
    }
    EXPECT_EQ(pattern_tolerance(DType::bf16, Reduction::average, 2.5F, 6), 2.5F * 8 / 256);
}

}  // namespace
}  // namespace traindyno
