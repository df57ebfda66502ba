// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/stream_schedule.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/tiny_program.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {
namespace {

using test::add_task;
using test::all_reduce;
using test::elementwise;

std::vector<OpIndex> waits(const StreamSchedule& schedule, OpIndex index) {
    const auto span = schedule.waits_of(index);
    return {span.begin(), span.end()};
}

BlockOp compute(std::vector<std::uint32_t> after = {}) {
    return {.op = elementwise(), .after = std::move(after)};
}

BlockOp reduce(Lane lane, std::vector<std::uint32_t> after = {}) {
    return {.op = all_reduce(GroupId{0}, 100), .lane = lane, .after = std::move(after)};
}

TEST(StreamSchedule, needs_no_wait_within_a_lane) {
    StepProgram program = test::program_with_group(2, 100);
    const TaskId first = add_task(program, {compute(), compute()});
    add_task(program, {compute()}, {first});
    const StreamSchedule schedule{IssueOrder(program)};
    for (const OpIndex index : {0U, 1U, 2U}) {
        EXPECT_TRUE(schedule.waits_of(index).empty());
        EXPECT_FALSE(schedule.is_awaited(index));
    }
    EXPECT_EQ(schedule.lanes().size(), 1U);
    EXPECT_EQ(schedule.lanes().front(), Lane::compute);
}

TEST(StreamSchedule, waits_for_the_last_operation_of_another_lane_only) {
    StepProgram program = test::program_with_group(2, 100);
    const TaskId work = add_task(program, {compute(), compute(), compute()});
    add_task(program, {reduce(Lane::dp)}, {work});
    const StreamSchedule schedule{IssueOrder(program)};
    EXPECT_EQ(waits(schedule, 3), (std::vector<OpIndex>{2}));
    EXPECT_TRUE(schedule.is_awaited(2));
    EXPECT_FALSE(schedule.is_awaited(1));
    EXPECT_EQ(std::vector(schedule.lanes().begin(), schedule.lanes().end()),
              (std::vector{Lane::compute, Lane::dp}));
}

TEST(StreamSchedule, does_not_wait_for_what_an_earlier_wait_implies) {
    StepProgram program = test::program_with_group(2, 100);
    // 0 compute; 1 tp after 0; 2 dp after 1 (implies 0); 3 dp after 0; 4 compute after 2 (implies
    // 1)
    add_task(program,
             {compute(),
              reduce(Lane::tp, {0}),
              reduce(Lane::dp, {0, 1}),
              reduce(Lane::dp, {0}),
              compute({1, 2})});
    const StreamSchedule schedule{IssueOrder(program)};
    EXPECT_EQ(waits(schedule, 1), (std::vector<OpIndex>{0}));
    EXPECT_EQ(waits(schedule, 2), (std::vector<OpIndex>{1}));
    EXPECT_TRUE(schedule.waits_of(3).empty());
    EXPECT_EQ(waits(schedule, 4), (std::vector<OpIndex>{2}));
}

TEST(StreamSchedule, tells_what_runs_alone_by_the_program) {
    StepProgram program = test::program_with_group(2, 100);
    // 0 compute; 1 tp after 0; 2 compute beside it; 3 compute after 1; 4 tp after 3; 5 compute
    // after 4
    add_task(program,
             {compute(),
              reduce(Lane::tp, {0}),
              compute(),
              compute({1}),
              reduce(Lane::tp, {3}),
              compute({4})});
    const StreamSchedule schedule{IssueOrder(program)};
    EXPECT_TRUE(schedule.runs_alone(0));
    EXPECT_FALSE(schedule.runs_alone(1));
    EXPECT_FALSE(schedule.runs_alone(2));
    EXPECT_TRUE(schedule.runs_alone(3));
    EXPECT_TRUE(schedule.runs_alone(4));
    EXPECT_TRUE(schedule.runs_alone(5));
}

/// Everything that is complete before each operation starts.
using Row = std::vector<bool>;
using Ancestors = std::vector<Row>;

/// Of an operation that directly follows `predecessors`.
Row ancestors_by(const std::vector<OpIndex>& predecessors, const Ancestors& before) {
    Row row(before.size());
    for (const OpIndex earlier : predecessors) {
        row[earlier] = true;
        for (OpIndex i = 0; i < earlier; ++i) {
            row[i] = row[i] || before[earlier][i];
        }
    }
    return row;
}

/// The operation before each on its lane.
std::vector<std::optional<OpIndex>> lane_order(const IssueOrder& order) {
    std::vector<std::optional<OpIndex>> previous;
    std::array<std::optional<OpIndex>, enum_count<Lane>> last;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        auto& on_lane = last[static_cast<std::size_t>(order.ops()[index].lane)];
        previous.push_back(on_lane);
        on_lane = index;
    }
    return previous;
}

std::vector<OpIndex> with(std::optional<OpIndex> previous, std::vector<OpIndex> edges) {
    if (previous) {
        edges.push_back(*previous);
    }
    return edges;
}

Ancestors by_dependencies(const IssueOrder& order) {
    const auto previous = lane_order(order);
    Ancestors before(order.ops().size(), Row(order.ops().size()));
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        std::vector<OpIndex> edges = with(previous[index], {});
        order.for_each_dependency(index, [&](OpIndex earlier) { edges.push_back(earlier); });
        before[index] = ancestors_by(edges, before);
    }
    return before;
}

/// Each operation waits for all that it must, and without any one of its waits it would not: what
/// is before others only shrinks when one wait goes, so its own row tells.
void expect_same_order_with_fewest_waits(const StepProgram& program) {
    const IssueOrder order(program);
    const StreamSchedule schedule(order);
    const auto previous = lane_order(order);
    const Ancestors wanted = by_dependencies(order);
    std::set<OpIndex> awaited;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        const std::vector<OpIndex> all = waits(schedule, index);
        EXPECT_EQ(ancestors_by(with(previous[index], all), wanted), wanted[index]) << index;
        for (const OpIndex wait : all) {
            awaited.insert(wait);
            std::vector<OpIndex> fewer = all;
            fewer.erase(std::remove(fewer.begin(), fewer.end(), wait), fewer.end());
            EXPECT_NE(ancestors_by(with(previous[index], fewer), wanted), wanted[index])
                << index << " waits for " << wait;
        }
    }
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        EXPECT_EQ(schedule.is_awaited(index), awaited.contains(index));
        bool alone = true;
        for (OpIndex other = 0; other < order.ops().size(); ++other) {
            alone = alone && (other == index || wanted[index][other] || wanted[other][index]);
        }
        EXPECT_EQ(schedule.runs_alone(index), alone) << index;
    }
}

TEST(StreamSchedule, keeps_the_order_of_every_program_with_fewest_waits) {
    for (const Case& point : grid(4, {3})) {
        if (point.model.layers > 4 || point.setup.recompute == Recompute::selective) {
            continue;  // the closure is quadratic, and selective adds no dependency of its own
        }
        SCOPED_TRACE(point.text());
        for (std::int64_t rank = 0; rank < point.layout.ranks(); rank += point.layout.tp) {
            expect_same_order_with_fewest_waits(
                build_step(point.model, point.layout, point.setup, WorldRank{rank}));
        }
        if (HasFailure()) {
            return;
        }
    }
}

}  // namespace
}  // namespace traindyno
