// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/memory.hpp"

#include <gtest/gtest.h>

#include "tests/unit/program/cases.hpp"

namespace traindyno {

TEST(MemoryItems, are_the_sizes_of_the_spaces_and_the_adam_state) {
    StepProgram program;
    program.precision = Precision::bf16;
    program.extents = {.parameter = 1000, .saved = 300, .workspace = 70, .scalar = 2};
    EXPECT_EQ(memory_items(program),
              (std::vector<MemoryItem>{{.name = "weights", .bytes = Bytes{2000}},
                                       {.name = "gradients", .bytes = Bytes{4000}},
                                       {.name = "master_weights", .bytes = Bytes{4000}},
                                       {.name = "adam_m", .bytes = Bytes{4000}},
                                       {.name = "adam_v", .bytes = Bytes{4000}},
                                       {.name = "activations", .bytes = Bytes{600}},
                                       {.name = "workspace", .bytes = Bytes{140 + 8}}}));
    EXPECT_EQ(total(memory_items(program)), Bytes{18'000 + 600 + 148});
}

/// Adam with a bf16 weight, fp32 gradient, master weight and two moments: 18 bytes per parameter.
TEST(MemoryItems, of_a_built_program_take_18_bytes_per_parameter_in_bf16) {
    const Layout layout{.tp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.precision = Precision::bf16;
    const StepProgram program = build_step(small_gpt(2), layout, setup, WorldRank{0});
    const auto items = memory_items(program);
    Bytes state;
    for (std::size_t i = 0; i < 5; ++i) {
        state += items[i].bytes;
    }
    EXPECT_EQ(state, Bytes{18 * program.extents.parameter});
}

TEST(MemoryItems, hold_tensors_in_their_storage_type) {
    StepProgram program;
    program.extents = {.parameter = 1000, .saved = 300, .workspace = 70, .scalar = 2};
    const auto items = [&](Precision precision) {
        program.precision = precision;
        return memory_items(program);
    };
    EXPECT_EQ(items(Precision::fp8), items(Precision::bf16));
    EXPECT_EQ(items(Precision::fp16), items(Precision::bf16));
    EXPECT_EQ(items(Precision::tf32), items(Precision::fp32));
    EXPECT_EQ(items(Precision::fp32)[0].bytes, Bytes{4000});
}

/// Korthikanti et al., arXiv:2205.05198, table 2, without what we do not keep: with tensor
/// parallelism s b h (10 + 24/t + 5as/(ht)) per layer, with sequence parallelism too
/// s b h/t (34 + 5as/h). Of these, 2 are dropout masks, of which there are none, and 5as/h is the
/// score square, of which attention keeps the log-sum-exp of each row: 4a/h.
TEST(MemoryItems, activations_are_those_of_the_paper_without_masks_and_scores) {
    const Layout layout{.tp = 4};
    const Model model = small_gpt(3);
    TrainingSetup setup = setup_of(layout, 1, 4);
    setup.precision = Precision::bf16;
    const std::int64_t sb = setup.micro_batch * model.seq;
    const std::int64_t sbh = sb * model.hidden;
    const std::int64_t t = layout.tp;
    const std::int64_t statistics = 4 * sb * model.heads / t;
    const auto kept = [&](SequenceParallel sequence_parallel, Overlap overlap) {
        setup.sequence_parallel = sequence_parallel;
        setup.overlap_tp = overlap;
        return memory_items(build_step(model, layout, setup, WorldRank{0}))[5].bytes;
    };
    // The input of the head follows the last layer.
    EXPECT_EQ(kept(SequenceParallel::off, Overlap::off),
              Bytes{model.layers * (sbh * 8 + sbh * 24 / t + statistics) + 2 * sbh});
    const Bytes cut{model.layers * (sbh / t * 32 + statistics) + 2 * sbh / t};
    EXPECT_EQ(kept(SequenceParallel::on, Overlap::off), cut);
    EXPECT_EQ(kept(SequenceParallel::on, Overlap::on), cut);
}

TEST(MemoryItems, activations_grow_with_the_micro_batch_alone) {
    const Layout layout{};
    const auto items = [&](std::int64_t micro_batch) {
        return memory_items(
            build_step(small_gpt(2), layout, setup_of(layout, 2, micro_batch), WorldRank{0}));
    };
    EXPECT_EQ(items(4)[5].bytes, 4 * items(1)[5].bytes);
    EXPECT_EQ(items(4)[0], items(1)[0]);
}

}  // namespace traindyno
