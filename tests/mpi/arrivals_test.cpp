// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/arrivals.hpp"

#include <gtest/gtest.h>

#include "tests/mpi/mpi_test.hpp"
#include "tests/support/tiny_program.hpp"

namespace traindyno {
namespace {

using test::add_task;
using test::all_reduce;

SimTime ms(std::int64_t milliseconds) {
    return std::chrono::milliseconds{milliseconds};
}

TEST(Arrivals, of_a_reduction_span_the_first_to_the_last_member) {
    auto world = test::session().world();
    const std::int64_t rank = world->rank().value();
    StepProgram program = test::program_with_group(world->size(), 10);
    add_task(program, {{.op = all_reduce(GroupId{0}, 10), .lane = Lane::dp, .after = {}}});
    add_task(program, {{.op = all_reduce(GroupId{0}, 10), .lane = Lane::dp, .after = {}}});
    const IssueOrder order(program);
    // Two steps of two reductions; ranks arrive 1 ms apart, in opposite orders.
    std::vector<StepTrace> steps(2);
    for (std::int64_t s = 0; s < 2; ++s) {
        steps[static_cast<std::size_t>(s)].spans = {
            {.begin = ms(100 * s + rank), .end = ms(100 * s + 50)},
            {.begin = ms(100 * s + 60 - rank), .end = ms(100 * s + 90)}};
    }
    const std::int64_t last = world->size() - 1;
    GroupCommunicators groups;
    groups.push_back(std::move(world));
    const auto arrivals = exchange_arrivals(order, steps, groups, ClockSync{});
    for (std::size_t s = 0; s < 2; ++s) {
        const auto base = 100 * static_cast<std::int64_t>(s);
        EXPECT_EQ(arrivals[s][0].earliest, ms(base));
        EXPECT_EQ(arrivals[s][0].latest, ms(base + last));
        EXPECT_EQ(arrivals[s][1].earliest, ms(base + 60 - last));
        EXPECT_EQ(arrivals[s][1].latest, ms(base + 60));
    }
}

/// Rank r of a pipeline receives from r-1 and sends to r+1, two micro-batches in opposite issue
/// order.
StepProgram pipeline_program(std::int64_t rank, std::int64_t size) {
    StepProgram program = test::program_with_group(size, 10, GroupKind::pp);
    const Slice buffer{.space = Space::gradient, .offset = 0, .elements = 10};
    for (const std::int32_t micro_batch : {1, 0}) {
        if (rank > 0) {
            add_task(program,
                     {{.op = CommOp{Recv{.group = GroupId{0},
                                         .peer = GroupRank{rank - 1},
                                         .tag = static_cast<std::int32_t>(rank) * 10 + micro_batch,
                                         .buffer = buffer}},
                       .lane = Lane::pp_recv_forward,
                       .after = {}}});
        }
        if (rank + 1 < size) {
            add_task(
                program,
                {{.op = CommOp{Send{.group = GroupId{0},
                                    .peer = GroupRank{rank + 1},
                                    .tag = static_cast<std::int32_t>(rank + 1) * 10 + micro_batch,
                                    .buffer = buffer}},
                  .lane = Lane::pp_send_forward,
                  .after = {}}});
        }
    }
    return program;
}

TEST(Arrivals, of_a_transfer_are_its_two_ends) {
    auto world = test::session().world();
    const std::int64_t rank = world->rank().value();
    const StepProgram program = pipeline_program(rank, world->size());
    const IssueOrder order(program);
    std::vector<StepTrace> steps(1);
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        // A send of rank r at 10r, its receive at 10(r+1) + 1: closed forms for both ends.
        const bool receives = order.ops()[index].lane == Lane::pp_recv_forward;
        steps[0].spans.push_back({.begin = ms(10 * rank + (receives ? 1 : 0)), .end = ms(1000)});
    }
    GroupCommunicators groups;
    groups.push_back(std::move(world));
    const auto arrivals = exchange_arrivals(order, steps, groups, ClockSync{});
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        const std::int64_t sender =
            order.ops()[index].lane == Lane::pp_recv_forward ? rank - 1 : rank;
        EXPECT_EQ(arrivals[0][index].earliest, ms(10 * sender));
        EXPECT_EQ(arrivals[0][index].latest, ms(10 * (sender + 1) + 1));
    }
}

}  // namespace
}  // namespace traindyno
