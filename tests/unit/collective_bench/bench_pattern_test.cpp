// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/half_types.hpp"

namespace traindyno {
namespace {

constexpr std::int64_t group_size = 6;
constexpr std::int64_t count = 500;

template <class T>
std::vector<T> input(const BenchPattern& pattern, std::int64_t elements, std::int64_t rank) {
    std::vector<T> values(static_cast<std::size_t>(elements));
    pattern.fill(std::as_writable_bytes(std::span(values)), GroupRank{rank});
    return values;
}

template <class T>
PatternVerdict verdict(const BenchPattern& pattern, const std::vector<T>& out, std::int64_t rank) {
    return pattern.check(std::as_bytes(std::span(out)), GroupRank{rank}, count);
}

/// Sums element by element, one rank after the other.
template <class T>
std::vector<T> summed(const BenchPattern& pattern, std::int64_t elements, std::int64_t members) {
    std::vector<T> sum(static_cast<std::size_t>(elements));
    for (std::int64_t rank = 0; rank < members; ++rank) {
        const std::vector<T> addend = input<T>(pattern, elements, rank);
        std::transform(sum.begin(), sum.end(), addend.begin(), sum.begin(), std::plus<>{});
    }
    return sum;
}

TEST(BenchPattern, sums_and_maxima_and_averages_are_the_ranks_values_combined) {
    const BenchPattern sum({.op = BenchOp::all_reduce, .type = DType::int64}, group_size, 3);
    std::vector<std::int64_t> total = summed<std::int64_t>(sum, count, group_size);
    EXPECT_EQ(verdict(sum, total, 0).wrong, 0);

    const BenchPattern average(
        {.op = BenchOp::all_reduce, .type = DType::int64, .reduction = Reduction::average},
        group_size,
        3);
    for (std::int64_t& value : total) {
        value /= group_size;
    }
    EXPECT_EQ(verdict(average, total, 0).wrong, 0);

    const BenchPattern max(
        {.op = BenchOp::all_reduce, .type = DType::fp32, .reduction = Reduction::max},
        group_size,
        3);
    std::vector<float> largest = input<float>(max, count, 0);
    for (std::int64_t rank = 1; rank < group_size; ++rank) {
        const std::vector<float> other = input<float>(max, count, rank);
        std::transform(
            largest.begin(), largest.end(), other.begin(), largest.begin(), [](float a, float b) {
                return std::max(a, b);
            });
    }
    EXPECT_EQ(verdict(max, largest, 0).wrong, 0);
}

TEST(BenchPattern, a_part_is_checked_against_its_place_in_the_whole) {
    const BenchPattern pattern({.op = BenchOp::reduce_scatter, .type = DType::fp64}, group_size, 0);
    const std::vector<double> whole = summed<double>(pattern, count * group_size, group_size);
    for (std::int64_t rank = 0; rank < group_size; ++rank) {
        const std::vector<double> part(whole.begin() + rank * count,
                                       whole.begin() + (rank + 1) * count);
        EXPECT_EQ(verdict(pattern, part, rank).wrong, 0) << rank;
        EXPECT_GT(verdict(pattern, part, (rank + 1) % group_size).wrong, count / 2) << rank;
    }
}

TEST(BenchPattern, moved_values_must_come_from_the_right_rank_and_place) {
    const BenchPattern gather({.op = BenchOp::all_gather, .type = DType::int32}, group_size, 1);
    const BenchPattern exchange({.op = BenchOp::all_to_all, .type = DType::int32}, group_size, 1);
    std::vector<std::int32_t> gathered;
    std::vector<std::int32_t> exchanged;
    constexpr std::int64_t here = 4;
    for (std::int64_t from = 0; from < group_size; ++from) {
        const auto own = input<std::int32_t>(gather, count, from);
        gathered.insert(gathered.end(), own.begin(), own.end());
        const auto parts = input<std::int32_t>(exchange, count * group_size, from);
        exchanged.insert(
            exchanged.end(), parts.begin() + here * count, parts.begin() + (here + 1) * count);
    }
    EXPECT_EQ(verdict(gather, gathered, here).wrong, 0);
    EXPECT_EQ(verdict(exchange, exchanged, here).wrong, 0);
    EXPECT_GT(verdict(exchange, exchanged, here - 1).wrong, count * group_size / 2);
    std::rotate(gathered.begin(), gathered.begin() + count, gathered.end());
    EXPECT_EQ(verdict(gather, gathered, here).wrong, count * group_size);

    const BenchPattern broadcast(
        {.op = BenchOp::broadcast, .type = DType::int32, .root = GroupRank{5}}, group_size, 1);
    EXPECT_EQ(verdict(broadcast, input<std::int32_t>(broadcast, count, 5), 2).wrong, 0);
    EXPECT_EQ(verdict(broadcast, input<std::int32_t>(broadcast, count, 4), 2).wrong, count);
    const BenchPattern ring({.op = BenchOp::sendrecv, .type = DType::int32}, group_size, 1);
    EXPECT_EQ(verdict(ring, input<std::int32_t>(ring, count, group_size - 1), 0).wrong, 0);
    EXPECT_EQ(verdict(ring, input<std::int32_t>(ring, count, 0), 0).wrong, count);
}

TEST(BenchPattern, says_where_the_first_wrong_value_is) {
    const BenchPattern pattern({.op = BenchOp::all_gather, .type = DType::fp64}, 2, 0);
    std::vector<double> out = input<double>(pattern, count, 0);
    const std::vector<double> second = input<double>(pattern, count, 1);
    out.insert(out.end(), second.begin(), second.end());
    const std::vector<double> right = out;
    out[count + 7] += 0.5;
    out[count + 9] = std::nan("");
    EXPECT_EQ(verdict(pattern, out, 0),
              (PatternVerdict{.wrong = 2,
                              .first = count + 7,
                              .found = right[count + 7] + 0.5,
                              .expected = right[count + 7]}));
}

TEST(BenchPattern, earlier_rounds_and_poison_do_not_pass) {
    for (const DType type :
         {DType::fp32, DType::bf16, DType::fp16, DType::fp64, DType::int32, DType::int64}) {
        const BenchCase what{.op = BenchOp::broadcast, .type = type};
        std::vector<std::byte> out(static_cast<std::size_t>(count * element_size(type)));
        BenchPattern(what, group_size, 0).fill(out, GroupRank{0});
        EXPECT_EQ(BenchPattern(what, group_size, 0).check(out, GroupRank{1}, count).wrong, 0);
        EXPECT_GT(BenchPattern(what, group_size, 1).check(out, GroupRank{1}, count).wrong,
                  count / 2);
        BenchPattern::poison(out);
        EXPECT_EQ(BenchPattern(what, group_size, 0).check(out, GroupRank{1}, count).wrong, count)
            << to_string(type);
    }
}

TEST(BenchPattern, neighbouring_chunks_differ) {
    const BenchPattern pattern({.op = BenchOp::all_reduce}, group_size, 0);
    const std::vector<float> values = input<float>(pattern, 1 << 16, 0);
    for (const std::size_t chunk : {1U, 4U, 127U, 1024U, 4096U, 16384U}) {
        std::int64_t same = 0;
        for (std::size_t i = 0; i + chunk < values.size(); ++i) {
            same += values[i] == values[i + chunk] ? 1 : 0;
        }
        EXPECT_LT(same, 1 << 13) << chunk;
    }
    EXPECT_EQ(std::set<float>(values.begin(), values.end()).size(), 127U);
}

Bf16 rounded(float value, Bf16 /*as*/) {
    return to_bf16(value);
}

Fp16 rounded(float value, Fp16 /*as*/) {
    return to_fp16(value);
}

/// Of 16-bit sums in the order of the group_size, each addition rounded; `error` goes into one of
/// them.
template <class Half>
std::int64_t wrong_of_rounded_sum(DType type, std::int64_t members, float error) {
    const BenchPattern pattern({.op = BenchOp::all_reduce, .type = type}, members, 0);
    std::vector<Half> sum(count);
    for (std::int64_t rank = 0; rank < members; ++rank) {
        const std::vector<Half> addend = input<Half>(pattern, count, rank);
        for (std::size_t i = 0; i < sum.size(); ++i) {
            sum[i] = rounded(to_float(sum[i]) + to_float(addend[i]), Half{});
        }
    }
    sum[3] = rounded(to_float(sum[3]) + error, Half{});
    return verdict(pattern, sum, 0).wrong;
}

TEST(BenchPattern, half_sums_are_exact_up_to_128_ranks_and_within_the_bound_beyond) {
    for (const std::int64_t members : {2, 64, 128, 1000}) {
        EXPECT_EQ(wrong_of_rounded_sum<Bf16>(DType::bf16, members, 0), 0) << members;
        EXPECT_EQ(wrong_of_rounded_sum<Fp16>(DType::fp16, members, 0), 0) << members;
    }
    EXPECT_EQ(wrong_of_rounded_sum<Bf16>(DType::bf16, 128, 1), 1);
    EXPECT_EQ(wrong_of_rounded_sum<Fp16>(DType::fp16, 128, 1), 1);
}

TEST(BenchPattern, averages_may_round_but_not_miss_an_addend) {
    const BenchPattern pattern(
        {.op = BenchOp::all_reduce, .type = DType::fp32, .reduction = Reduction::average},
        group_size,
        0);
    const auto averages = [&](std::int64_t members) {
        std::vector<float> values = summed<float>(pattern, count, members);
        for (float& value : values) {
            value *= 1.0F / static_cast<float>(group_size);  // rounds the factor too
        }
        return values;
    };
    EXPECT_EQ(verdict(pattern, averages(group_size), 0).wrong, 0);
    EXPECT_GT(verdict(pattern, averages(group_size - 1), 0).wrong, count / 2);
}

}  // namespace
}  // namespace traindyno
