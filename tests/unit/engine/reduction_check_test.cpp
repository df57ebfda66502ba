// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/reduction_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/half_types.hpp"
#include "collectives/reduce/reduce.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

/// What `size` members would get from an exact element-wise reduction of their stamped marks.
std::vector<float> reduced(std::int64_t size,
                           std::int64_t elements,
                           Reduction reduction,
                           std::uint32_t key) {
    std::vector<float> result(static_cast<std::size_t>(marks_in(elements)),
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

TEST(MarksIn, are_one_per_stride_and_the_last_element) {
    EXPECT_EQ(marks_in(0), 0);
    EXPECT_EQ(marks_in(check_minimum - 1), 0);
    EXPECT_EQ(marks_in(check_minimum), 2);
    EXPECT_EQ(marks_in(check_stride), 2);
    EXPECT_EQ(marks_in(check_stride + 1), 2);  // the element one stride in is the last
    EXPECT_EQ(marks_in(check_stride + 2), 3);
    EXPECT_EQ(marks_in(3 * check_stride + 7), 5);
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

/// A 16-bit type: where its integers have gaps, and how it converts.
struct Bf16Case {
    using Half = Bf16;
    static constexpr DType type = DType::bf16;
    static constexpr std::int64_t exact = 256;

    static Half half(float value) { return to_bf16(value); }
};

struct Fp16Case {
    using Half = Fp16;
    static constexpr DType type = DType::fp16;
    static constexpr std::int64_t exact = 2048;

    static Half half(float value) { return to_fp16(value); }
};

template <class Case>
class ReductionCheckHalf : public ::testing::Test {
  public:
    using Half = typename Case::Half;

    static std::vector<Half> stamped(std::int64_t rank) {
        std::vector<Half> marks(2);
        stamp(std::as_writable_bytes(std::span(marks)), elements, Case::type, GroupRank{rank}, 0);
        return marks;
    }

    static constexpr std::int64_t elements = 100;  // the first and the last are marks

    /// Element by element in member order, each addition rounded.
    static std::vector<Half> sum_of(std::int64_t size) {
        std::vector<Half> sum = stamped(0);
        for (std::int64_t rank = 1; rank < size; ++rank) {
            const std::vector<Half> next = stamped(rank);
            auto* const out = reinterpret_cast<std::byte*>(sum.data());
            const std::array<const std::byte*, 2> inputs{
                out, reinterpret_cast<const std::byte*>(next.data())};
            reduce(inputs,
                   {&out, 1},
                   sum.size() * sizeof(Half),
                   {.type = Case::type, .reduction = Reduction::sum},
                   Stores::cached);
        }
        return sum;
    }

    static std::int64_t wrong(const std::vector<Half>& marks, std::int64_t size) {
        return check(std::as_bytes(std::span(marks)), elements, Case::type, Reduction::sum, size, 0)
            .wrong;
    }
};

using HalfCases = ::testing::Types<Bf16Case, Fp16Case>;
TYPED_TEST_SUITE(ReductionCheckHalf, HalfCases);

TYPED_TEST(ReductionCheckHalf, accepts_right_sums_rounded_or_not) {
    // A cycle of seven members adds 28: with `exact` members sums have long been rounding.
    for (const std::int64_t size : {std::int64_t{1}, std::int64_t{7}, TypeParam::exact}) {
        EXPECT_EQ(this->wrong(this->sum_of(size), size), 0) << size;
    }
}

TYPED_TEST(ReductionCheckHalf, finds_a_missing_member_while_sums_are_exact) {
    const std::int64_t size = TypeParam::exact / 4;
    EXPECT_EQ(this->wrong(this->sum_of(size - 1), size), 2);  // first and last element
}

TYPED_TEST(ReductionCheckHalf, finds_a_sum_that_is_off_by_one) {
    auto buffer = this->sum_of(2);  // 1 + 2
    buffer.front() = TypeParam::half(4);
    EXPECT_EQ(this->wrong(buffer, 2), 1);
    buffer.back() = TypeParam::half(std::nanf(""));
    EXPECT_EQ(this->wrong(buffer, 2), 2);
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
