// SPDX-License-Identifier: Apache-2.0
// What show-program prints.
#include <string>

#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace traindyno::test {
namespace {

ProcessResult show(const std::string& flags) {
    const TemporaryFolder folder;
    return run_command("'" TRAINDYNO_EXECUTABLE "' show-program --model gpt3-125m " + flags,
                       folder.path());
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// F takes 1, B takes 1: stage 1 begins one unit late and every stage idles for (2-1)(1+1) = 2.
TEST(ShowProgram, prints_the_grid_of_a_schedule_and_its_bubble) {
    const ProcessResult result = show("--pp 2 --global-batch 3");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(contains(result.out, "stage 0   F0 F1 ...B0 F2 B1 ...B2\n")) << result.out;
    EXPECT_TRUE(contains(result.out, "stage 1   ...F0 B0 F1 B1 F2 B2\n")) << result.out;
    EXPECT_TRUE(contains(result.out, "Bubble: 2 of the program, 2 by the formula (p-1)(F+B)"))
        << result.out;
}

TEST(ShowProgram, marks_the_chunks_of_an_interleaved_schedule) {
    const ProcessResult result =
        show("--pp 2 --schedule interleaved --virtual-stages 3 --global-batch 4");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(contains(result.out, "stage 0   F0.0 F1.0 F0.1 F1.1 F0.2 F1.2 ")) << result.out;
    EXPECT_TRUE(contains(result.out, "Bubble: 2 of the program, 2 by the formula (p-1)(F+B)/v"))
        << result.out;
}

TEST(ShowProgram, takes_compute_times_of_a_machine) {
    const ProcessResult result =
        show("--pp 2 --schedule zero-bubble --global-batch 4 --machine dgx-a100");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(contains(result.out, "compute times of dgx-a100")) << result.out;
    EXPECT_TRUE(contains(result.out, "W3")) << result.out;
}

TEST(ShowProgram, prints_the_whole_program_of_a_rank) {
    const ProcessResult result = show("--pp 2 --tp 2 --global-batch 2 --rank 3");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(result.out.starts_with("program rank 3 stage 1 ")) << result.out.substr(0, 80);
    EXPECT_TRUE(contains(result.out, "layer_backward"));
}

TEST(ShowProgram, refuses_what_no_pipeline_can_run) {
    for (const auto& [flags, problem] :
         {std::pair{"--pp 2 --rank 2", "--rank: 2 is no rank of this job"},
          std::pair{"--pp 5", "pp: 5 does not divide layers 12"},
          std::pair{"--pp 4 --virtual-stages 3", "virtual_stages: 3 does not go with schedule"},
          std::pair{"--pp 4 --schedule interleaved",
                    "virtual_stages: 2 x pp 4 = 8 does not divide"},
          std::pair{"--pp 2 --schedule interleaved --global-batch 3", "global_batch: 3 makes 3"},
          std::pair{"--pp 2 --schedule zero-bubble --recompute full", "recompute: full"},
          std::pair{"--pp 2 --stage-layers 5,6", "stage_layers: 11 layers in all"},
          std::pair{"--pp 2 --stage-layers 4,4,4", "stage_layers: 3 counts are given for 2"},
          std::pair{"--pp 3 --first-stage-layers 3", "--first-stage-layers: the other stages"}}) {
        const ProcessResult result = show(flags);
        EXPECT_EQ(result.exit_code, 2) << flags;
        EXPECT_TRUE(contains(result.err, problem)) << flags << ": " << result.err;
    }
}

TEST(ShowProgram, splits_layers_as_megatrons_flags_do) {
    const ProcessResult result =
        show("--pp 4 --first-stage-layers 2 --last-stage-layers 2 --global-batch 4");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(show("--pp 4 --stage-layers 2,4,4,2 --global-batch 4").out, result.out);
}

}  // namespace
}  // namespace traindyno::test
