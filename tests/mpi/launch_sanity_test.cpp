// SPDX-License-Identifier: Apache-2.0
// The launch check of a job that really was launched.
#include "emulator/study/launch_sanity.hpp"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/control.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

RankFacts facts() {
    return facts_of_this_process({.rank = session().rank(),
                                  .world_size = session().size(),
                                  .mpi = MpiSession::version(),
                                  .config_hash = 1});
}

TEST(CheckLaunch, knows_the_launcher_of_this_job) {
    const RankFacts mine = facts();
    ASSERT_TRUE(mine.launcher.has_value());
    EXPECT_EQ(mine.launcher->size, session().size());
    EXPECT_EQ(mine.launcher->rank, session().rank().value());
    EXPECT_EQ(speaks_for_job(mine), session().rank() == WorldRank{0});
}

TEST(CheckLaunch, ranks_of_one_host_agree_on_what_they_are) {
    const std::unique_ptr<Communicator> world = session().world();
    const Findings findings = check_launch(*world, facts(), {.compute = Compute::timed});
    EXPECT_EQ(findings.refusals, std::vector<std::string>{});
    const std::vector<std::string> notes =
        all_gather_text(*world, findings.notes.empty() ? std::string{} : findings.notes.front());
    for (const std::string& note : notes) {
        EXPECT_EQ(note, notes.front());
    }
}

TEST(CheckLaunch, every_rank_hears_what_is_wrong_with_one) {
    const std::unique_ptr<Communicator> world = session().world();
    RankFacts mine = facts();
    mine.config_hash = mine.rank == WorldRank{session().size() - 1} ? 2 : 1;
    const Findings findings = check_launch(*world, mine, {.compute = Compute::timed});
    EXPECT_EQ(findings.refusals.size(), session().size() == 1 ? 0U : 1U);
}

}  // namespace

}  // namespace traindyno::test
