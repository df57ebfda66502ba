// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

/// What `size` members would get from an exact element-wise reduction of their stamped marks.
std::vector<float> reduced(std::int64_t size,
                           std::int64_t elements,
                           Reduction reduction,
                           std::uint32_t key) {
    std::vector<float> result(static_cast<std::size_t>(mark_count(elements)),
                              reduction == Reduction::max ? -1e30F : 0.0F);
    for (std::int64_t rank = 0; rank < size; ++rank) {
        std::vector<float> own(result.size(), 0.5F);
        stamp(std::as_writable_bytes(std::span(own)), elements, DType::fp32, GroupRank{rank}, key);
        for (std::size_t i = 0; i < own.size(); ++i) {
            result[i] =
                reduction == Reduction::max ? std::max(result[i], own[i]) : result[i] + own[i];
        }
    }
    return result;
}

ReductionChecks check_fp32(const std::vector<float>& marks,
                           std::int64_t elements,
                           Reduction reduction,
                           std::int64_t size,
                           std::uint32_t key) {
    return check(std::as_bytes(std::span(marks)), elements, DType::fp32, reduction, size, key);
}

TEST(MarkCount, is_one_per_stride_and_the_last_element) {
    EXPECT_EQ(mark_count(0), 0);
    EXPECT_EQ(mark_count(check_minimum - 1), 0);
    EXPECT_EQ(mark_count(check_minimum), 2);
    EXPECT_EQ(mark_count(check_stride), 2);
    EXPECT_EQ(mark_count(check_stride + 1), 2);  // the element one stride in is the last
    EXPECT_EQ(mark_count(check_stride + 2), 3);
    EXPECT_EQ(mark_count(3 * check_stride + 7), 5);
}

class ReductionCheck : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(ReductionCheck, accepts_a_right_sum_and_a_right_maximum) {
    constexpr std::int64_t elements = 3 * check_stride + 7;
    for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
        const auto marks = reduced(GetParam(), elements, reduction, 5);
        const ReductionChecks found = check_fp32(marks, elements, reduction, GetParam(), 5);
        EXPECT_EQ(found.wrong, 0);
        EXPECT_EQ(found.checked, 5);
    }
}

TEST_P(ReductionCheck, finds_every_corrupted_value) {
    constexpr std::int64_t elements = check_stride + 2;
    auto marks = reduced(GetParam(), elements, Reduction::sum, 0);
    marks[1] += 1;
    EXPECT_EQ(check_fp32(marks, elements, Reduction::sum, GetParam(), 0).wrong, 1);
    marks[0] = std::nanf("");
    EXPECT_EQ(check_fp32(marks, elements, Reduction::sum, GetParam(), 0).wrong, 2);
}

INSTANTIATE_TEST_SUITE_P(sizes, ReductionCheck, ::testing::Values(1, 2, 3, 4, 5, 8, 1023));

TEST(ReductionCheckMissing, finds_a_member_that_was_left_out) {
    const auto marks = reduced(3, check_stride, Reduction::sum, 1);
    EXPECT_GT(check_fp32(marks, check_stride, Reduction::sum, 4, 1).wrong, 0);
}

TEST(ReductionCheckMissing, finds_another_buffers_result) {
    const auto marks = reduced(2, check_stride, Reduction::sum, 1);
    EXPECT_GT(check_fp32(marks, check_stride, Reduction::sum, 2, 2).wrong, 0);
}

TEST(ReductionCheckBf16, allows_rounding_but_not_a_missing_member) {
    std::vector<std::uint16_t> marks(2, 0);
    stamp(std::as_writable_bytes(std::span(marks)), 100, DType::bf16, GroupRank{0}, 0);
    const auto wrong = [&](std::int64_t size) {
        return check(std::as_bytes(std::span(marks)), 100, DType::bf16, Reduction::sum, size, 0)
            .wrong;
    };
    EXPECT_EQ(wrong(1), 0);
    EXPECT_EQ(wrong(2), 2);
}

TEST(ReductionCheckMarks, of_another_buffer_are_our_bug) {
    std::vector<float> marks(3);
    EXPECT_THROW(
        stamp(std::as_writable_bytes(std::span(marks)), check_stride, DType::fp32, GroupRank{0}, 0),
        ContractError);
    EXPECT_THROW((void)check_fp32(marks, check_stride, Reduction::sum, 1, 0), ContractError);
}

}  // namespace
}  // namespace traindyno
