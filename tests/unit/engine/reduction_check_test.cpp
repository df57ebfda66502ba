// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

/// What `size` members would get from an exact element-wise reduction of their stamped buffers.
std::vector<float> reduced(std::int64_t size,
                           std::int64_t elements,
                           Reduction reduction,
                           std::uint32_t key) {
    std::vector<float> result(static_cast<std::size_t>(elements),
                              reduction == Reduction::max ? -1e30F : 0.0F);
    for (std::int64_t rank = 0; rank < size; ++rank) {
        std::vector<float> own(result.size(), 0.5F);
        stamp(std::as_writable_bytes(std::span(own)), DType::fp32, GroupRank{rank}, key);
        for (std::size_t i = 0; i < own.size(); ++i) {
            result[i] =
                reduction == Reduction::max ? std::max(result[i], own[i]) : result[i] + own[i];
        }
    }
    return result;
}

class ReductionCheck : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(ReductionCheck, accepts_a_right_sum_and_a_right_maximum) {
    constexpr std::int64_t elements = 3 * check_stride + 7;
    for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
        const auto buffer = reduced(GetParam(), elements, reduction, 5);
        const ReductionChecks found =
            check(std::as_bytes(std::span(buffer)), DType::fp32, reduction, GetParam(), 5);
        EXPECT_EQ(found.wrong, 0);
        EXPECT_EQ(found.checked, 5);  // elements 0, 1, 2 and 3 strides in, and the last
    }
}

TEST_P(ReductionCheck, finds_one_corrupted_value) {
    auto buffer = reduced(GetParam(), check_stride + 2, Reduction::sum, 0);
    buffer[check_stride] += 1;
    EXPECT_EQ(
        check(std::as_bytes(std::span(buffer)), DType::fp32, Reduction::sum, GetParam(), 0).wrong,
        1);
    buffer[0] = std::nanf("");
    EXPECT_EQ(
        check(std::as_bytes(std::span(buffer)), DType::fp32, Reduction::sum, GetParam(), 0).wrong,
        2);
}

INSTANTIATE_TEST_SUITE_P(sizes, ReductionCheck, ::testing::Values(1, 2, 3, 4, 5, 8, 1023));

TEST(ReductionCheckMissing, finds_a_member_that_was_left_out) {
    const auto buffer = reduced(3, check_stride, Reduction::sum, 1);
    EXPECT_GT(check(std::as_bytes(std::span(buffer)), DType::fp32, Reduction::sum, 4, 1).wrong, 0);
}

TEST(ReductionCheckMissing, finds_another_buffers_result) {
    const auto buffer = reduced(2, check_stride, Reduction::sum, 1);
    EXPECT_GT(check(std::as_bytes(std::span(buffer)), DType::fp32, Reduction::sum, 2, 2).wrong, 0);
}

TEST(ReductionCheckBf16, allows_rounding_but_not_a_missing_member) {
    std::vector<std::uint16_t> buffer(100, 0);
    stamp(std::as_writable_bytes(std::span(buffer)), DType::bf16, GroupRank{0}, 0);
    EXPECT_EQ(check(std::as_bytes(std::span(buffer)), DType::bf16, Reduction::sum, 1, 0).wrong, 0);
    EXPECT_EQ(check(std::as_bytes(std::span(buffer)), DType::bf16, Reduction::sum, 2, 0).wrong, 2);
}

TEST(ReductionCheckSmall, leaves_small_buffers_alone) {
    std::vector<float> norm(1, 42.0F);
    stamp(std::as_writable_bytes(std::span(norm)), DType::fp32, GroupRank{3}, 0);
    EXPECT_EQ(norm[0], 42.0F);
    EXPECT_EQ(check(std::as_bytes(std::span(norm)), DType::fp32, Reduction::sum, 4, 0),
              ReductionChecks{});
}

}  // namespace
}  // namespace traindyno
