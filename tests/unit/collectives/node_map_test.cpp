// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/node_map.hpp"

#include <gtest/gtest.h>

namespace traindyno {
namespace {

TEST(NodeMap, shape_counts_ranks_of_nodes) {
    EXPECT_EQ(NodeMap({0, 0, 1, 1, 2, 2}).shape(),
              (GroupShape{.ranks = 6, .nodes = 3, .fewest = 2, .most = 2}));
    EXPECT_EQ(NodeMap({0, 0, 0, 1, 1}).shape(),
              (GroupShape{.ranks = 5, .nodes = 2, .fewest = 2, .most = 3}));
    EXPECT_EQ(NodeMap({0}).shape(), GroupShape{});
}

TEST(NodeMap, ranks_of_a_node_need_not_be_neighbours) {
    const NodeMap map({0, 1, 0, 2, 1, 2});
    for (std::int64_t rank = 0; rank < 6; ++rank) {
        EXPECT_EQ(map.rank_at(map.node(GroupRank{rank}), map.local_rank(GroupRank{rank})),
                  GroupRank{rank});
    }
    EXPECT_EQ(map.rank_at(1, 1), GroupRank{4});
    EXPECT_EQ(map.local_rank(GroupRank{5}), 1);
}

TEST(NodeMap, of_a_group_of_one_is_one_node) {
    const std::unique_ptr<Communicator> alone = Communicator::serial();
    EXPECT_EQ(NodeMap::gather(*alone, "h1"), NodeMap({0}));
}

}  // namespace
}  // namespace traindyno
