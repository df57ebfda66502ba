// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/attention_alignment.hpp"

#include <gtest/gtest.h>

#include "tests/support/tiny_program.hpp"

namespace traindyno {
namespace {

/// A bf16 program whose only attention has its statistics at `offset` of the saved activations.
StepProgram program_with_statistics_at(std::int64_t offset, std::int64_t saved_base) {
    const AttentionForward attention{
        .batch = 1,
        .seq = 6,
        .heads = 1,
        .kv_heads = 1,
        .head_size = 8,
        .qkv = {.space = Space::workspace, .offset = 0, .elements = 144},
        .context = {.space = Space::workspace, .offset = 144, .elements = 48},
        .statistics = {.space = Space::saved, .offset = offset, .elements = 12}};
    StepProgram program;
    program.precision = Precision::bf16;
    (void)test::add_task(
        program,
        {{.op = test::elementwise(), .lane = Lane::compute, .phase = Phase::forward, .after = {}},
         {.op = ComputeOp{attention},
          .lane = Lane::compute,
          .phase = Phase::forward,
          .after = {}}});
    program.tasks.front().saved_base = saved_base;
    return program;
}

AttentionShape shape_in(const StepProgram& program) {
    return attention_shape(std::get<ComputeOp>(program.blocks[0].ops[1].op)).value();
}

TEST(UnalignedAttentions, are_none_where_operands_begin_at_multiples_of_16_bytes) {
    EXPECT_TRUE(unaligned_attentions(program_with_statistics_at(8, 0)).empty());
    EXPECT_TRUE(unaligned_attentions(program_with_statistics_at(12, 4)).empty());
}

/// The statistics of a second chunk of 6 queries begin at byte 24.
TEST(UnalignedAttentions, have_an_operand_elsewhere_in_some_task) {
    StepProgram program = program_with_statistics_at(12, 0);
    EXPECT_EQ(unaligned_attentions(program), std::set{shape_in(program)});
    program = program_with_statistics_at(8, 0);
    program.tasks.push_back(program.tasks.front());
    program.tasks.back().saved_base = 4;
    EXPECT_EQ(unaligned_attentions(program), std::set{shape_in(program)});
}

TEST(UnalignedAttentions, take_no_other_operation_for_one) {
    const StepProgram program = program_with_statistics_at(8, 0);
    EXPECT_FALSE(attention_shape(std::get<ComputeOp>(program.blocks[0].ops[0].op)));
}

}  // namespace
}  // namespace traindyno
