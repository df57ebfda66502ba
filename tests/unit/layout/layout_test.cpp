// SPDX-License-Identifier: Apache-2.0
#include "emulator/layout/layout.hpp"

#include <set>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

std::vector<std::int32_t> members(const Layout& layout, GroupKind kind, std::int64_t rank) {
    std::vector<std::int32_t> values;
    for (const WorldRank member : group_of(layout, kind, WorldRank{rank}).members) {
        values.push_back(member.value());
    }
    return values;
}

using Ranks = std::vector<std::int32_t>;

constexpr Layout cube{.tp = 2, .dp = 3, .pp = 4};
constexpr Layout with_context{.tp = 2, .cp = 3, .ep = 2, .dp = 4, .pp = 2};

}  // namespace

TEST(Layout, numbers_tp_fastest_then_cp_dp_pp) {
    EXPECT_EQ(coordinates_of(with_context, WorldRank{1}), (Coordinates{.tp = 1}));
    EXPECT_EQ(coordinates_of(with_context, WorldRank{2}), (Coordinates{.cp = 1}));
    EXPECT_EQ(coordinates_of(with_context, WorldRank{6}), (Coordinates{.dp = 1}));
    EXPECT_EQ(coordinates_of(with_context, WorldRank{24}), (Coordinates{.pp = 1}));
}

TEST(Layout, rank_at_inverts_coordinates_of) {
    for (std::int64_t rank = 0; rank < with_context.ranks(); ++rank) {
        EXPECT_EQ(rank_at(with_context, coordinates_of(with_context, WorldRank{rank})),
                  WorldRank{rank});
    }
}

TEST(Layout, refuses_ranks_and_coordinates_outside_the_grid) {
    EXPECT_THROW((void)coordinates_of(cube, WorldRank{24}), ContractError);
    EXPECT_THROW((void)coordinates_of(cube, WorldRank{-1}), ContractError);
    EXPECT_THROW((void)rank_at(cube, {.tp = 2}), ContractError);
    EXPECT_THROW((void)rank_at(cube, {.pp = -1}), ContractError);
}

TEST(Layout, groups_run_along_their_dimension) {
    EXPECT_EQ(members(cube, GroupKind::tp, 9), (Ranks{8, 9}));
    EXPECT_EQ(members(cube, GroupKind::dp, 9), (Ranks{7, 9, 11}));
    EXPECT_EQ(members(cube, GroupKind::pp, 9), (Ranks{3, 9, 15, 21}));
    EXPECT_EQ(members(with_context, GroupKind::cp, 3), (Ranks{1, 3, 5}));
    EXPECT_EQ(members(with_context, GroupKind::ep, 19), (Ranks{13, 19}));
}

TEST(Layout, data_parallel_groups_span_context_parallel_ranks) {
    EXPECT_EQ(members(with_context, GroupKind::dp, 0),
              (Ranks{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}));
}

TEST(Layout, model_groups_hold_one_replica) {
    EXPECT_EQ(members(cube, GroupKind::model, 9), (Ranks{2, 3, 8, 9, 14, 15, 20, 21}));
}

TEST(Layout, embedding_groups_join_first_and_last_stage) {
    EXPECT_EQ(members(cube, GroupKind::embedding, 1), (Ranks{1, 19}));
    EXPECT_EQ(members(cube, GroupKind::embedding, 19), (Ranks{1, 19}));
    EXPECT_EQ(members(cube, GroupKind::embedding, 7), Ranks{});
    EXPECT_EQ(members({.tp = 2}, GroupKind::embedding, 1), Ranks{1});
}

TEST(Layout, groups_of_a_kind_partition_the_ranks) {
    for (const GroupKind kind : {GroupKind::tp,
                                 GroupKind::cp,
                                 GroupKind::ep,
                                 GroupKind::dp,
                                 GroupKind::pp,
                                 GroupKind::model}) {
        std::set<std::vector<WorldRank>> groups;
        std::int64_t total = 0;
        for (std::int64_t rank = 0; rank < with_context.ranks(); ++rank) {
            const Group group = group_of(with_context, kind, WorldRank{rank});
            EXPECT_EQ(group.kind, kind);
            EXPECT_EQ(group.members[group.rank_of(WorldRank{rank}).index()], WorldRank{rank});
            total += groups.insert(group.members).second ? group.size() : 0;
        }
        EXPECT_EQ(total, with_context.ranks()) << to_string(kind);
    }
}

TEST(Layout, rank_of_refuses_ranks_outside_the_group) {
    const Group group = group_of(cube, GroupKind::tp, WorldRank{0});
    EXPECT_THROW((void)group.rank_of(WorldRank{2}), ContractError);
}

TEST(Layout, is_short_as_text) {
    EXPECT_EQ(to_string(Layout{.tp = 2, .dp = 1, .pp = 2}), "tp2 pp2 dp1");
    EXPECT_EQ(to_string(with_context), "tp2 pp2 dp4 cp3 ep2");
}

}  // namespace traindyno
