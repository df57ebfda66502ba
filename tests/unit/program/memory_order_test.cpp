// SPDX-License-Identifier: Apache-2.0
// Buffers of built programs are used in the right order, whatever the timing of communication.
#include <gtest/gtest.h>

#include "tests/unit/program/cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {

namespace {

/// One rank of each stage; others differ by group members only.
template <class Check>
void for_each_stage(const std::vector<Case>& cases, const Check& check) {
    for (const Case& at : cases) {
        if (at.layout.dp > 2) {
            continue;
        }
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            const WorldRank rank = rank_at(at.layout, {.pp = stage});
            check(build_step(at.model, at.layout, at.setup, rank), at.text());
        }
    }
}

/// The program without what `tasks_of_block` waits for.
StepProgram forget_waits(StepProgram program, std::string_view name) {
    for (Task& task : program.tasks) {
        if (program.blocks[task.block.index()].name == name) {
            task.after.clear();
        }
    }
    return program;
}

StepProgram pipelined() {
    const Layout layout{.pp = 3};
    return build_step(small_gpt(3), layout, setup_of(layout, 6), WorldRank{1});
}

}  // namespace

TEST(MemoryOrder, no_operation_races_another) {
    for_each_stage(grid(4, {1, 2, 5}), [](const StepProgram& program, const std::string& text) {
        ASSERT_EQ(races_in(program), none) << text;
    });
}

TEST(MemoryOrder, every_activation_read_was_written_for_the_same_micro_batch) {
    for_each_stage(grid(6, {1, 3, 8}), [](const StepProgram& program, const std::string& text) {
        ASSERT_EQ(stale_reads_in(program), none) << text;
    });
}

TEST(MemoryOrder, results_do_not_overlap_operands) {
    for_each_stage(grid(4, {1, 3}), [](const StepProgram& program, const std::string& text) {
        ASSERT_EQ(overlaps_in(program), none) << text;
    });
}

TEST(MemoryOrder, each_wait_of_the_pipeline_is_needed) {
    EXPECT_EQ(races_in(pipelined()), none);
    for (const char* name : {"pp_recv_forward",
                             "pp_send_forward",
                             "pp_recv_backward",
                             "pp_send_backward",
                             "layer_forward",
                             "layer_backward"}) {
        EXPECT_NE(races_in(forget_waits(pipelined(), name)), none) << name;
    }
}

/// A block that begins with traffic waits for the compute before it, which is on another lane.
TEST(MemoryOrder, each_wait_of_sequence_parallelism_is_needed) {
    const Layout layout{.tp = 2};
    TrainingSetup setup = setup_of(layout, 2);
    setup.sequence_parallel = SequenceParallel::on;
    const StepProgram program = build_step(small_gpt(2), layout, setup, WorldRank{0});
    EXPECT_EQ(races_in(program), none);
    for (const char* name : {"layer_forward", "layer_backward", "embedding_backward"}) {
        EXPECT_NE(races_in(forget_waits(program, name)), none) << name;
    }
}

}  // namespace traindyno
