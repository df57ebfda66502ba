// SPDX-License-Identifier: Apache-2.0
// Plans of all ranks, run on symbols: who is in every sum, and what is sent.
#include "collectives/algorithms/build_plan.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/cost/cost.hpp"
#include "tests/unit/collectives/plan_cases.hpp"

namespace traindyno::test {

namespace {

class BuildPlan : public testing::TestWithParam<PlanCase> {
  protected:
    /// Calls `check(request)` for group sizes x counts x placements x strands.
    template <class Check>
    static void for_each_request(Check&& check) {
        const bool cuts = GetParam().cuts;
        std::vector<Placement> placements{Placement::apart};
        if (GetParam().op != CollectiveOp::all_to_all) {
            placements.push_back(Placement::in_place);
        }
        for (const std::int64_t ranks : group_sizes()) {
            for (const std::int64_t count : counts_for(GetParam().op, ranks)) {
                for (const Placement placement : placements) {
                    for (const std::int64_t strands : {1, 2, 3, 5}) {
                        if (strands == 1 || (cuts && strands <= count)) {
                            check(request_for(GetParam(), ranks, count, placement, strands));
                        }
                    }
                }
            }
        }
    }
};

void expect_closed_form(const PlanSimulation& simulation, const PlanRequest& request) {
    const Counted counted = simulation.counted();
    const Cost cost =
        cost_of(request.algorithm, request.op, request.count, request.ranks, request.chunking);
    EXPECT_EQ(counted.rounds, cost.rounds) << describe(request);
    EXPECT_EQ(counted.path, cost.path) << describe(request);
    EXPECT_EQ(counted.messages, cost.messages) << describe(request);
    EXPECT_EQ(counted.elements, cost.bytes) << describe(request);
    EXPECT_EQ(counted.reduced, cost.reduced) << describe(request);
}

void expect_stated_roundings(const PlanSimulation& simulation, const PlanRequest& request) {
    std::int64_t most = 0;
    for (std::int64_t rank = 0; rank < request.ranks; ++rank) {
        for (const Symbol& symbol : simulation.memory(rank).cells) {
            most = std::max(most, symbol.roundings);
        }
    }
    const std::int64_t stated = roundings(request.algorithm, request.op, request.ranks);
    EXPECT_LE(most, stated) << describe(request);
    if (request.count >= request.ranks) {  // else some members have nothing to add to
        EXPECT_EQ(most, stated) << describe(request);
    }
}

TEST_P(BuildPlan, results_hold_each_member_once_and_traffic_is_the_closed_form) {
    for_each_request([](const PlanRequest& request) {
        PlanSimulation simulation = simulation_of(request);
        ASSERT_EQ(simulation.run(), "") << describe(request);
        ASSERT_EQ(verdict(simulation, request), "") << describe(request);
        expect_closed_form(simulation, request);
        expect_stated_roundings(simulation, request);
    });
}

std::string name_of_case(const testing::TestParamInfo<PlanCase>& each) {
    return std::string(to_string(each.param.algorithm)) + "_" +
           std::string(to_string(each.param.op));
}

INSTANTIATE_TEST_SUITE_P(All, BuildPlan, testing::ValuesIn(plan_cases()), name_of_case);

TEST(BuildPlanBroadcast, works_from_every_root) {
    for (const PlanCase& each : plan_cases()) {
        for (const std::int64_t ranks : {2, 3, 6, 8, 13, 16, 17}) {
            PlanRequest request =
                request_for(each, ranks, ranks + 3, Placement::apart, each.cuts ? 2 : 1);
            for (request.root = 0; each.op == CollectiveOp::broadcast && request.root < ranks;
                 ++request.root) {
                PlanSimulation simulation = simulation_of(request);
                ASSERT_EQ(simulation.run(), "") << describe(request);
                ASSERT_EQ(verdict(simulation, request), "") << describe(request);
            }
        }
    }
}

TEST(BuildPlanDoubleTree, no_rank_has_children_in_both_trees) {
    for (const std::int64_t ranks : group_sizes()) {
        for (std::int64_t rank = 1; rank < ranks; ++rank) {
            const CollectivePlan plan = build_plan({.algorithm = Algorithm::double_tree,
                                                    .op = CollectiveOp::broadcast,
                                                    .rank = rank,
                                                    .ranks = ranks,
                                                    .count = 2,
                                                    .chunking = {.strands = 2, .lanes = 2}});
            const auto children = [&](std::size_t tree) {
                std::size_t sends = 0;
                for (const Round& round : plan.strands[tree].rounds) {
                    sends += round.sends.size();
                }
                return sends;
            };
            EXPECT_TRUE(children(0) == 0 || children(1) == 0) << rank << " of " << ranks;
            EXPECT_LE(std::max(children(0), children(1)), 2U) << rank << " of " << ranks;
        }
    }
}

TEST(BuildExchange, unequal_parts_arrive_where_they_belong) {
    std::mt19937 random{1};
    for (const std::int64_t ranks : group_sizes()) {
        const auto n = static_cast<std::size_t>(ranks);
        std::vector<std::vector<std::int64_t>> sent(n, std::vector<std::int64_t>(n));
        std::vector<std::vector<std::int64_t>> received(n, std::vector<std::int64_t>(n));
        for (std::size_t from = 0; from < n; ++from) {
            for (std::size_t to = 0; to < n; ++to) {
                const std::int64_t size = random() % 4;  // nothing, often enough
                sent[from][to] = size;
                received[to][from] = size;
            }
        }
        std::vector<CollectivePlan> plans;
        std::vector<SymbolMemory> memory;
        std::vector<std::vector<Symbol>> expected(n);
        for (std::size_t rank = 0; rank < n; ++rank) {
            SymbolMemory& mine = memory.emplace_back();
            for (std::size_t to = 0; to < n; ++to) {
                for (std::int64_t i = 0; i < sent[rank][to]; ++i) {
                    Symbol symbol{.element = i};
                    symbol.times[rank] = 1;
                    symbol.times[to] = static_cast<std::uint8_t>(symbol.times[to] + 2);
                    mine.cells.push_back(symbol);
                    expected[to].push_back(symbol);
                }
            }
            mine.work = static_cast<std::int64_t>(mine.cells.size());
            mine.cells.resize(mine.cells.size() + 4 * n);
            plans.push_back(
                build_exchange(static_cast<std::int64_t>(rank), sent[rank], received[rank]));
        }
        PlanSimulation simulation{plans, memory};
        ASSERT_EQ(simulation.run(), "") << ranks;
        for (std::size_t rank = 0; rank < n; ++rank) {
            const SymbolMemory& mine = simulation.memory(static_cast<std::int64_t>(rank));
            const auto work = mine.cells.begin() + mine.work;
            EXPECT_TRUE(std::equal(expected[rank].begin(), expected[rank].end(), work)) << rank;
        }
    }
}

}  // namespace

}  // namespace traindyno::test
