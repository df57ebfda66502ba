// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/live_workspace.hpp"

#include <gtest/gtest.h>

#include "tests/unit/program/cases.hpp"

namespace traindyno {
namespace {

Slice piece(std::int64_t offset, std::int64_t elements) {
    return {.space = Space::workspace, .offset = offset, .elements = elements};
}

Block copying(const Slice& from, const Slice& to) {
    return {.name = "copy",
            .ops = {{.op = ComputeOp{Elementwise{.kind = ElementwiseKind::residual_add,
                                                 .rows = 1,
                                                 .columns = to.elements,
                                                 .reads = {from, from},
                                                 .writes = {to}}},
                     .lane = Lane::compute,
                     .phase = Phase::forward,
                     .after = {}}}};
}

StepProgram runs(std::vector<Block> blocks, const std::vector<std::int64_t>& order) {
    StepProgram program;
    program.blocks = std::move(blocks);
    for (const std::int64_t block : order) {
        Task task;
        task.block = BlockId{block};
        program.tasks.push_back(task);
    }
    return program;
}

IntervalSet interval(std::int64_t begin, std::int64_t end) {
    IntervalSet set;
    set.add(begin, end);
    return set;
}

TEST(LiveWorkspace, ends_at_the_last_read_and_at_the_next_write) {
    const StepProgram program = runs({copying(piece(0, 10), piece(10, 10)),
                                      copying(piece(15, 10), piece(40, 10)),
                                      copying(piece(60, 5), piece(0, 8))},
                                     {0, 2, 1});
    const auto live = live_workspace(program);
    IntervalSet first = interval(15, 25);
    first.add(60, 65);
    EXPECT_EQ(live[0], first);
    EXPECT_EQ(live[2], interval(15, 25));
    EXPECT_EQ(live[1], IntervalSet{});
}

TEST(LiveWorkspace, is_the_union_over_all_runs_of_a_block) {
    const StepProgram program = runs(
        {copying(piece(0, 4), piece(10, 4)), copying(piece(10, 4), piece(20, 4))}, {0, 0, 1, 0});
    const auto live = live_workspace(program);
    IntervalSet after_copy = interval(0, 4);
    after_copy.add(10, 14);
    EXPECT_EQ(live[0], after_copy);
    EXPECT_EQ(live[1], interval(0, 4));
}

TEST(LiveWorkspace, of_the_head_holds_the_logits) {
    const Layout layout;
    const StepProgram program = build_step(small_gpt(2), layout, setup_of(layout, 2), WorldRank{0});
    const auto live = live_workspace(program);
    for (std::size_t block = 0; block < program.blocks.size(); ++block) {
        const std::string& name = program.blocks[block].name;
        const auto& last = program.blocks[block].ops.back().op;
        if (name == "head_forward") {
            const auto& loss = std::get<Elementwise>(std::get<ComputeOp>(last));
            EXPECT_TRUE(live[block].overlaps(loss.writes[0].offset, loss.writes[0].offset + 1));
        }
        if (name == "layer_forward") {
            EXPECT_EQ(live[block], IntervalSet{}) << "activations are in saved space";
        }
    }
}

}  // namespace
}  // namespace traindyno
