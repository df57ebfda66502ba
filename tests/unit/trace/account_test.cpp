// SPDX-License-Identifier: Apache-2.0
#include "emulator/trace/account.hpp"

#include <gtest/gtest.h>

#include "tests/support/tiny_program.hpp"

namespace traindyno {
namespace {

using test::add_task;
using test::all_reduce;
using test::elementwise;

SimTime ms(std::int64_t milliseconds) {
    return std::chrono::milliseconds{milliseconds};
}

constexpr double millisecond = 1e-3;

/// forward -> backward -> dp all-reduce -> optimizer, as in data parallelism without overlap.
class DataParallelStep : public ::testing::Test {
  protected:
    DataParallelStep() : program_(test::program_with_group(2, 100)) {
        const TaskId forward =
            add_task(program_, {{.op = elementwise(), .phase = Phase::forward, .after = {}}});
        const TaskId backward = add_task(
            program_, {{.op = elementwise(), .phase = Phase::backward, .after = {}}}, {forward});
        const TaskId reduce = add_task(program_,
                                       {{.op = all_reduce(GroupId{0}, 100),
                                         .lane = Lane::dp,
                                         .phase = Phase::backward,
                                         .after = {}}},
                                       {backward});
        add_task(
            program_, {{.op = elementwise(), .phase = Phase::optimizer, .after = {}}}, {reduce});
    }

    Budget run(const std::vector<Span>& spans,
               SimTime end,
               SimTime latest,
               std::vector<SimTime> reference = {}) {
        const IssueOrder order(program_);
        const StepTrace step{.begin = ms(0), .end = end, .spans = spans};
        std::vector<Arrival> arrivals(4);
        arrivals[2] = {.earliest = spans[2].begin, .latest = latest};
        const Budget budget = account(order, step, arrivals, reference);
        EXPECT_NEAR(budget.total(), to_seconds(end), 1e-12);
        return budget;
    }

    StepProgram program_;
};

TEST_F(DataParallelStep, splits_idle_time_at_the_latest_arrival) {
    const Budget budget = run(
        {{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(31), ms(41)}, {ms(42), ms(45)}}, ms(46), ms(35));
    EXPECT_DOUBLE_EQ(budget[Category::compute_forward], 10 * millisecond);
    EXPECT_DOUBLE_EQ(budget[Category::compute_backward], 20 * millisecond);
    EXPECT_DOUBLE_EQ(budget[Category::compute_optimizer], 3 * millisecond);
    EXPECT_DOUBLE_EQ(budget[Category::wait_dp], 4 * millisecond);
    EXPECT_DOUBLE_EQ(budget[Category::exposed_dp], 6 * millisecond);
    // 30-31 before posting, 41-42 before the optimizer, 45-46 after it.
    EXPECT_NEAR(budget[Category::launch_gap], 3 * millisecond, 1e-15);
    EXPECT_NEAR(budget[Category::residual], 0, 1e-15);
}

TEST_F(DataParallelStep, books_no_wait_for_the_last_to_arrive) {
    const Budget budget = run(
        {{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(30), ms(41)}, {ms(41), ms(45)}}, ms(45), ms(30));
    EXPECT_DOUBLE_EQ(budget[Category::wait_dp], 0);
    EXPECT_NEAR(budget[Category::exposed_dp], 11 * millisecond, 1e-15);
}

TEST_F(DataParallelStep, counts_a_clock_error_neither_as_negative_wait_nor_beyond_the_span) {
    const Budget early =
        run({{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(30), ms(41)}, {ms(41), ms(45)}}, ms(45), ms(5));
    EXPECT_DOUBLE_EQ(early[Category::wait_dp], 0);
    const Budget late = run(
        {{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(30), ms(41)}, {ms(41), ms(45)}}, ms(45), ms(99));
    EXPECT_NEAR(late[Category::wait_dp], 11 * millisecond, 1e-15);
    EXPECT_DOUBLE_EQ(late[Category::exposed_dp], 0);
}

TEST_F(DataParallelStep, hides_communication_under_compute) {
    // The all-reduce runs entirely beside backward: nothing of it is exposed.
    const Budget budget = run(
        {{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(12), ms(20)}, {ms(30), ms(33)}}, ms(33), ms(12));
    EXPECT_DOUBLE_EQ(budget[Category::exposed_dp], 0);
    EXPECT_DOUBLE_EQ(budget[Category::launch_gap], 0);
}

TEST_F(DataParallelStep, books_slowdown_only_where_compute_and_communication_overlap) {
    const std::vector<SimTime> reference{ms(9), ms(15), ms(0), ms(3)};
    const Budget budget =
        run({{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(12), ms(20)}, {ms(30), ms(33)}},
            ms(33),
            ms(12),
            reference);
    EXPECT_NEAR(budget[Category::compute_slowdown], 5 * millisecond, 1e-15);
    EXPECT_NEAR(budget[Category::compute_backward], 15 * millisecond, 1e-15);
    EXPECT_NEAR(budget[Category::compute_forward], 10 * millisecond, 1e-15);
}

TEST_F(DataParallelStep, never_books_a_negative_slowdown) {
    const std::vector<SimTime> reference{ms(10), ms(25), ms(0), ms(3)};
    const Budget budget =
        run({{ms(0), ms(10)}, {ms(10), ms(30)}, {ms(12), ms(20)}, {ms(30), ms(33)}},
            ms(33),
            ms(12),
            reference);
    EXPECT_DOUBLE_EQ(budget[Category::compute_slowdown], 0);
    EXPECT_DOUBLE_EQ(budget[Category::compute_backward], 20 * millisecond);
}

TEST(Account, follows_a_chain_of_buckets_back_to_compute) {
    StepProgram program = test::program_with_group(2, 100);
    const TaskId backward =
        add_task(program, {{.op = elementwise(), .phase = Phase::backward, .after = {}}});
    const auto bucket = [&] {
        return add_task(program,
                        {{.op = all_reduce(GroupId{0}, 50), .lane = Lane::dp, .after = {}}},
                        {backward});
    };
    const TaskId first = bucket();
    const TaskId second = bucket();
    add_task(
        program, {{.op = elementwise(), .phase = Phase::optimizer, .after = {}}}, {first, second});
    const IssueOrder order(program);
    const StepTrace step{
        .begin = ms(0),
        .end = ms(40),
        .spans = {{ms(0), ms(10)}, {ms(10), ms(20)}, {ms(20), ms(35)}, {ms(35), ms(40)}}};
    std::vector<Arrival> arrivals(4);
    arrivals[1] = {.earliest = ms(10), .latest = ms(13)};
    arrivals[2] = {.earliest = ms(20), .latest = ms(21)};
    const Budget budget = account(order, step, arrivals, {});
    EXPECT_NEAR(budget[Category::wait_dp], (3 + 1) * millisecond, 1e-15);
    EXPECT_NEAR(budget[Category::exposed_dp], (7 + 14) * millisecond, 1e-15);
    EXPECT_NEAR(budget[Category::launch_gap], 0, 1e-15);
    EXPECT_NEAR(budget.total(), 40 * millisecond, 1e-12);
}

TEST(Account, explains_the_tail_after_the_last_compute) {
    StepProgram program = test::program_with_group(2, 100, GroupKind::tp);
    const TaskId compute = add_task(program, {{.op = elementwise(), .after = {}}});
    add_task(
        program, {{.op = all_reduce(GroupId{0}, 50), .lane = Lane::tp, .after = {}}}, {compute});
    const IssueOrder order(program);
    const StepTrace step{
        .begin = ms(0), .end = ms(30), .spans = {{ms(0), ms(10)}, {ms(10), ms(30)}}};
    std::vector<Arrival> arrivals(2);
    arrivals[1] = {.earliest = ms(10), .latest = ms(10)};
    EXPECT_NEAR(account(order, step, arrivals, {})[Category::exposed_tp], 20 * millisecond, 1e-15);
}

TEST(SplitBubble, moves_pipeline_waits_up_to_the_closed_form) {
    Budget budget;
    budget[wait(GroupKind::pp)] = 5;
    budget[wait(GroupKind::model)] = 4;
    budget[wait(GroupKind::dp)] = 3;
    const Budget split = split_bubble(budget, 6);
    EXPECT_DOUBLE_EQ(split[Category::bubble], 6);
    EXPECT_DOUBLE_EQ(split[wait(GroupKind::pp)], 0);
    EXPECT_DOUBLE_EQ(split[wait(GroupKind::model)], 3);
    EXPECT_DOUBLE_EQ(split[wait(GroupKind::dp)], 3);
    EXPECT_DOUBLE_EQ(split.total(), budget.total());
}

TEST(SplitBubble, leaves_a_single_stage_alone) {
    Budget budget;
    budget[wait(GroupKind::pp)] = 5;
    EXPECT_EQ(split_bubble(budget, 0), budget);
}

}  // namespace
}  // namespace traindyno
