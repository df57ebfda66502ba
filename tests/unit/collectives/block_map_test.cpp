// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/block_map.hpp"

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

TEST(BlockMap, takes_the_first_place_that_fits) {
    BlockMap map(100, 1000);
    EXPECT_EQ(map.take(50, 1), 100);
    EXPECT_EQ(map.take(10, 64), 192);
    EXPECT_EQ(map.take(42, 1), 150);  // what the alignment left free
    EXPECT_EQ(map.take(799, 1), std::nullopt);
    EXPECT_EQ(map.take(798, 1), 202);
    EXPECT_EQ(map.take(1, 1), std::nullopt);
}

TEST(BlockMap, joins_what_comes_back_in_any_order) {
    BlockMap map(0, 300);
    EXPECT_EQ(map.take(100, 1), 0);
    EXPECT_EQ(map.take(100, 1), 100);
    EXPECT_EQ(map.take(100, 1), 200);
    EXPECT_EQ(map.give_back(0), 100);
    EXPECT_EQ(map.give_back(200), 100);
    EXPECT_EQ(map.take(101, 1), std::nullopt);
    EXPECT_EQ(map.give_back(100), 100);
    EXPECT_EQ(map.take(300, 1), 0);
}

TEST(BlockMap, knows_which_block_a_place_lies_in) {
    BlockMap map(100, 1000);
    EXPECT_EQ(map.take(50, 1), 100);
    EXPECT_EQ(map.take(10, 64), 192);
    EXPECT_EQ(map.block_of(100), (BlockMap::Block{.begin = 100, .size = 50}));
    EXPECT_EQ(map.block_of(149), (BlockMap::Block{.begin = 100, .size = 50}));
    EXPECT_EQ(map.block_of(201), (BlockMap::Block{.begin = 192, .size = 10}));
    EXPECT_THROW((void)map.block_of(99), ContractError);
    EXPECT_THROW((void)map.block_of(150), ContractError);
    EXPECT_THROW((void)map.block_of(202), ContractError);
}

TEST(BlockMap, gets_back_only_what_it_gave) {
    BlockMap map(0, 100);
    EXPECT_EQ(map.take(10, 1), 0);
    EXPECT_THROW(map.give_back(5), ContractError);
    EXPECT_EQ(map.give_back(0), 10);
    EXPECT_THROW(map.give_back(0), ContractError);
}

}  // namespace

}  // namespace traindyno
