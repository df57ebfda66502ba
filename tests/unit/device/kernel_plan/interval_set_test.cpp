// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/interval_set.hpp"

#include <bitset>
#include <random>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

constexpr std::int64_t universe = 40;

TEST(IntervalSet, agrees_with_a_bit_per_element) {
    std::mt19937 random(7);
    std::uniform_int_distribution<std::int64_t> position(0, universe);
    for (int round = 0; round < 200; ++round) {
        IntervalSet set;
        std::bitset<universe> bits;
        for (int change = 0; change < 20; ++change) {
            const std::int64_t begin = position(random);
            const std::int64_t end = position(random);  // empty when not past begin
            const bool add = position(random) % 2 == 0;
            add ? set.add(begin, end) : set.remove(begin, end);
            for (std::int64_t i = begin; i < end; ++i) {
                bits[static_cast<std::size_t>(i)] = add;
            }
            for (std::int64_t i = 0; i < universe; ++i) {
                ASSERT_EQ(set.overlaps(i, i + 1), bits[static_cast<std::size_t>(i)]);
            }
            IntervalSet rebuilt;
            for (std::int64_t i = 0; i < universe; ++i) {
                rebuilt.add(i, bits[static_cast<std::size_t>(i)] ? i + 1 : i);
            }
            ASSERT_EQ(set, rebuilt) << "neighbours are merged";
        }
    }
}

TEST(IntervalSet, overlaps_what_shares_an_element) {
    IntervalSet set;
    set.add(3, 5);
    set.add(8, 9);
    EXPECT_TRUE(set.overlaps(0, 4));
    EXPECT_TRUE(set.overlaps(4, 20));
    EXPECT_FALSE(set.overlaps(5, 8));
    EXPECT_FALSE(set.overlaps(4, 4));
    IntervalSet other;
    other.add(5, 8);
    EXPECT_FALSE(set.overlaps(other));
    other.add(set);
    EXPECT_TRUE(set.overlaps(other));
    EXPECT_TRUE(other.overlaps(3, 4));
}

}  // namespace
}  // namespace traindyno
