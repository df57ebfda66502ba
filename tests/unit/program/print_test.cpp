// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/print.hpp"

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/program/verify.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {

namespace {

std::string golden(const std::string& name) {
    std::ifstream file(std::string(TD_GOLDEN_FOLDER) + "/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> problems_in(const std::string& text) {
    try {
        return {"parsed: " + print(parse_program(text))};
    } catch (const ConfigError& error) {
        return error.problems();
    }
}

/// A model small enough to follow every line of its programs by hand.
Model tiny_gpt() {
    Model model = small_gpt(2);
    model.hidden = 8;
    model.heads = model.kv_heads = 2;
    model.head_size = 4;
    model.ffn = 32;
    model.seq = 4;
    model.vocab = 10;
    return model;
}

}  // namespace

TEST(Print, parse_inverts_it) {
    for (const Case& at : grid(4, {1, 3})) {
        for (const StepProgram& program : build_all(at.model, at.layout, at.setup)) {
            ASSERT_EQ(parse_program(print(program)), program) << at.text();
        }
    }
}

TEST(Print, keeps_every_precision_and_sends_what_it_stores) {
    const Layout layout{.tp = 2, .pp = 2};
    for (const Precision precision :
         {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16, Precision::fp8}) {
        TrainingSetup setup = setup_of(layout, 2);
        setup.precision = precision;
        const auto programs = build_all(small_gpt(2), layout, setup);
        EXPECT_EQ(verify(programs), std::vector<std::string>{}) << to_string(precision);
        const std::string text = print(programs[0]);
        EXPECT_EQ(parse_program(text), programs[0]);
        EXPECT_NE(text.find(fmt::format("precision {}\n", to_string(precision))),
                  std::string::npos);
        EXPECT_NE(text.find(fmt::format(" {} sum", to_string(storage_type(precision)))),
                  std::string::npos)
            << text;
    }
}

TEST(Print, golden_program_of_one_rank) {
    const Layout layout{};
    const StepProgram program = build_step(tiny_gpt(), layout, setup_of(layout, 2), WorldRank{0});
    EXPECT_EQ(print(program), golden("gpt_one_rank.txt"));
}

TEST(Print, golden_programs_of_a_pipeline_with_tensor_and_data_parallelism) {
    const Layout layout{.tp = 2, .dp = 2, .pp = 2};
    TrainingSetup setup = setup_of(layout, 3);
    setup.precision = Precision::bf16;
    setup.bucket = Bytes{4096};
    const auto programs = build_all(tiny_gpt(), layout, setup);
    EXPECT_EQ(verify(programs), std::vector<std::string>{});
    EXPECT_EQ(print(programs[1]), golden("gpt_tp2_dp2_pp2_rank1.txt"));
    EXPECT_EQ(print(programs[6]), golden("gpt_tp2_dp2_pp2_rank6.txt"));
}

TEST(Print, golden_program_of_sequence_parallelism_in_chunks) {
    const Layout layout{.tp = 2, .pp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.precision = Precision::bf16;
    setup.sequence_parallel = SequenceParallel::on;
    setup.overlap_tp = Overlap::on;
    const auto programs = build_all(tiny_gpt(), layout, setup);
    EXPECT_EQ(verify(programs), std::vector<std::string>{});
    EXPECT_EQ(print(programs[3]), golden("gpt_sequence_parallel_chunks.txt"));
}

TEST(Print, golden_program_of_a_llama_with_full_recomputation) {
    Model model = tiny_gpt();
    model.kv_heads = 1;
    model.gated_mlp = true;
    model.tied_embeddings = false;
    model.norm = Norm::rmsnorm;
    model.positions = Positions::rotary;
    model.bias = LinearBias::none;
    const Layout layout{};
    TrainingSetup setup = setup_of(layout, 1);
    setup.recompute = Recompute::full;
    EXPECT_EQ(print(build_step(model, layout, setup, WorldRank{0})),
              golden("llama_full_recompute.txt"));
}

TEST(ParseProgram, takes_comments_and_empty_lines) {
    EXPECT_EQ(parse_program("# a comment\n\nprogram rank 3 stage 1 precision bf16\n"),
              (StepProgram{.rank = WorldRank{3},
                           .stage = Stage{1},
                           .precision = Precision::bf16,
                           .extents = {},
                           .groups = {},
                           .blocks = {},
                           .tasks = {}}));
}

TEST(ParseProgram, names_the_line_and_what_is_wrong_with_it) {
    const auto expect = [](const std::string& text, const std::string& problem) {
        EXPECT_EQ(problems_in(text),
                  std::vector<std::string>{
                      problem + " (step programs are strict) compare with what print writes"});
    };
    expect("program rank x stage 0 precision fp32", "line 1: 'x' is not a whole number");
    expect("\nprogram rank 0 stage 0 precision int64",
           "line 2: 'int64' is not one of fp32, tf32, bf16, fp16 or fp8");
    expect("extents parameter 1 saved 2", "line 1: 'workspace' is missing at the end");
    expect("group 1 tp 0 1", "line 1: the number should be 0");
    expect("group 0 tp 0 -1", "line 1: -1 is not a position");
    expect("group 0 tp 0 4294967296", "line 1: 4294967296 does not fit into 32 bits");
    expect("op 0 compute forward optimizer_step offset 0 elements 1",
           "line 1: an op stands before the first block");
    expect("block 0 b\nop 0 compute forward fold", "line 2: 'fold' is not an operation");
    expect("block 0 b\nop 0 compute forward zero rows 1 columns 2 -> gradient[0-2]",
           "line 2: 'gradient[0-2]' is not a slice such as saved[0+64]");
    expect("block 0 b\nop 0 compute forward zero rows 1 columns 2 -> memory[0+2]",
           "line 2: 'memory' is not one of parameter, gradient, saved, workspace, scalar, master, "
           "adam_m or adam_v");
    expect("program rank 0 stage 0 precision fp32 twice", "line 1: the line should end at 'twice'");
    expect("steps 3", "line 1: 'steps' is not one of program, extents, group, block, op or task");
}

TEST(ParseProgram, tells_every_wrong_line) {
    EXPECT_EQ(problems_in("program\nextents\n").size(), 2U);
}

}  // namespace traindyno
