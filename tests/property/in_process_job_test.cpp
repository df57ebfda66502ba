// SPDX-License-Identifier: Apache-2.0
// The in-process job notices deadlocks and members that disagree.
#include "tests/property/in_process_job.hpp"

#include <gtest/gtest.h>

#include "tests/support/tiny_program.hpp"

namespace traindyno::test {
namespace {

constexpr std::int64_t elements = 100;

/// Two ranks that each reduce in two groups, one operation after the other.
StepProgram rank_of_two(std::int64_t rank, GroupId first, GroupId second) {
    StepProgram program = program_with_group(2, elements);
    program.rank = WorldRank{rank};
    program.groups.push_back(program.groups.front());
    program.groups.back().kind = GroupKind::tp;
    const auto reduce = [&](GroupId group, std::vector<TaskId> after) {
        const Lane lane = group == GroupId{0} ? Lane::dp : Lane::tp;
        return add_task(program,
                        {{.op = all_reduce(group, elements), .lane = lane, .after = {}}},
                        std::move(after));
    };
    reduce(second, {reduce(first, {})});
    return program;
}

TEST(InProcessJob, ends_where_ranks_agree) {
    const GroupId dp{0};
    const GroupId tp{1};
    EXPECT_EQ(run_in_process({rank_of_two(0, dp, tp), rank_of_two(1, dp, tp)}, 3, 1), "");
}

TEST(InProcessJob, says_what_ranks_in_a_deadlock_wait_for) {
    const GroupId dp{0};
    const GroupId tp{1};
    const std::string problem =
        run_in_process({rank_of_two(0, dp, tp), rank_of_two(1, tp, dp)}, 1, 1);
    EXPECT_NE(problem.find("deadlock\nrank 0:"), std::string::npos) << problem;
    EXPECT_NE(problem.find("400 bytes in the dp group"), std::string::npos) << problem;
    EXPECT_NE(problem.find("400 bytes in the tp group"), std::string::npos) << problem;
}

TEST(InProcessJob, refuses_members_that_call_differently) {
    StepProgram longer = program_with_group(2, 2 * elements);
    add_task(longer, {{.op = all_reduce(GroupId{0}, 2 * elements), .lane = Lane::dp, .after = {}}});
    StepProgram shorter = program_with_group(2, elements);
    shorter.rank = WorldRank{1};
    add_task(shorter, {{.op = all_reduce(GroupId{0}, elements), .lane = Lane::dp, .after = {}}});
    EXPECT_THROW((void)run_in_process({longer, shorter}, 1, 1), std::runtime_error);
}

}  // namespace
}  // namespace traindyno::test
