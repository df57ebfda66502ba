// SPDX-License-Identifier: Apache-2.0
// Programs of tensor-parallel ranks that share the tokens between products.
#include <gtest/gtest.h>

#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/block_names.hpp"
#include "tests/unit/program/cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {
namespace {

TEST(SequenceParallel, layers_have_megatrons_operations_in_order) {
    const Layout layout{.tp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.sequence_parallel = SequenceParallel::on;
    Model model = small_gpt(1);
    model.bias = LinearBias::none;
    const StepProgram program = build_step(model, layout, setup, WorldRank{0});
    EXPECT_EQ(names_of(block_named(program, "layer_forward")),
              (std::vector<std::string>{"norm_forward",
                                        "all_gather",
                                        "matmul",
                                        "attention_forward",
                                        "matmul",
                                        "reduce_scatter",
                                        "residual_add",
                                        "norm_forward",
                                        "all_gather",
                                        "matmul",
                                        "gelu_forward",
                                        "matmul",
                                        "reduce_scatter",
                                        "residual_add"}));
    // Gather the gradient, its products; gather the input beside the product, scatter its gradient
    // beside the weight's.
    EXPECT_EQ(names_of(block_named(program, "layer_backward")),
              (std::vector<std::string>{
                  "all_gather", "matmul",         "matmul", "gelu_backward",      "all_gather",
                  "matmul",     "reduce_scatter", "matmul", "norm_backward",      "residual_add",
                  "all_gather", "matmul",         "matmul", "attention_backward", "all_gather",
                  "matmul",     "reduce_scatter", "matmul", "norm_backward",      "residual_add"}));
    const Block& backward = block_named(program, "layer_backward");
    EXPECT_TRUE(backward.ops[5].after.empty());
    EXPECT_EQ(backward.ops[7].after, std::vector<std::uint32_t>{4});
    EXPECT_EQ(backward.ops[8].after, std::vector<std::uint32_t>{6});
}

TEST(SequenceParallel, chunks_of_a_product_run_beside_the_traffic_of_others) {
    const Layout layout{.tp = 4};
    TrainingSetup setup = setup_of(layout, 1);
    setup.sequence_parallel = SequenceParallel::on;
    setup.overlap_tp = Overlap::on;
    const StepProgram program = build_step(small_gpt(1), layout, setup, WorldRank{0});
    const Block& block = block_named(program, "layer_forward");
    const std::vector<std::string> names = names_of(block);
    // 0 norm, 1..4 gathered, then product and bias of each chunk; 13 attention, then product and
    // scattering of each chunk
    ASSERT_EQ(names[13], "attention_forward");
    for (std::uint32_t chunk = 0; chunk < 4; ++chunk) {
        EXPECT_EQ(names[1 + chunk], "all_gather");
        EXPECT_EQ(names[5 + 2 * chunk], "matmul");
        EXPECT_EQ(block.ops[5 + 2 * chunk].after, std::vector<std::uint32_t>{1 + chunk});
        EXPECT_EQ(names[14 + 2 * chunk], "matmul");
        EXPECT_TRUE(block.ops[14 + 2 * chunk].after.empty());
        EXPECT_EQ(names[15 + 2 * chunk], "reduce_scatter");
        EXPECT_EQ(block.ops[15 + 2 * chunk].after, std::vector<std::uint32_t>{14 + 2 * chunk});
    }
    EXPECT_EQ(names[22], "bias_add");
    EXPECT_EQ(block.ops[22].after, std::vector<std::uint32_t>{21});
}

/// Sequences long enough for tp x tp pieces.
TEST(SequenceParallel, verifies_with_eight_tensor_ranks_in_chunks) {
    const Layout layout{.tp = 8};
    TrainingSetup setup = setup_of(layout, 2, 4);
    setup.sequence_parallel = SequenceParallel::on;
    setup.overlap_tp = Overlap::on;
    const auto programs = build_all(small_gpt(2), layout, setup);
    EXPECT_EQ(verify(programs), std::vector<std::string>{});
    EXPECT_EQ(counted_volumes(programs[5]),
              closed_form_volumes(small_gpt(2), layout, setup, Stage{0}));
}

TEST(SequenceParallel, goes_with_deferred_weight_gradients) {
    for (const Layout& layout :
         {Layout{.tp = 2, .pp = 2}, Layout{.tp = 2, .dp = 2, .pp = 2}, Layout{.tp = 4, .pp = 3}}) {
        for (const Overlap chunks : {Overlap::off, Overlap::on}) {
            TrainingSetup setup = setup_of(layout, 4, 2);
            setup.schedule = Schedule::zero_bubble;
            setup.sequence_parallel = SequenceParallel::on;
            setup.overlap_tp = chunks;
            const Model model = small_gpt(2 * layout.pp);
            const auto programs = build_all(model, layout, setup);
            EXPECT_EQ(verify(programs), none);
            for (const StepProgram& program : programs) {
                EXPECT_EQ(races_in(program), none);
                EXPECT_EQ(stale_reads_in(program), none);
                EXPECT_EQ(counted_volumes(program),
                          closed_form_volumes(model, layout, setup, program.stage));
            }
        }
    }
}

TEST(SequenceParallel, replicated_gradients_are_reduced_between_replicas_and_stages) {
    const Layout layout{.tp = 2, .dp = 2, .pp = 2};
    TrainingSetup setup = setup_of(layout, 2);
    setup.sequence_parallel = SequenceParallel::on;
    const StepProgram program = build_step(small_gpt(4), layout, setup, WorldRank{0});
    std::vector<std::string> last;
    for (std::size_t task = program.tasks.size() - 4; task < program.tasks.size(); ++task) {
        last.push_back(program.blocks[program.tasks[task].block.index()].name);
    }
    EXPECT_EQ(last,
              (std::vector<std::string>{
                  "reduce_bucket", "reduce_replicated", "reduce_embedding", "optimizer"}));
    const auto count = static_cast<std::int64_t>(program.tasks.size());
    EXPECT_EQ(program.tasks[static_cast<std::size_t>(count - 3)].after,
              std::vector<TaskId>{TaskId{count - 4}});
    EXPECT_EQ(program.tasks[static_cast<std::size_t>(count - 2)].after,
              std::vector<TaskId>{TaskId{count - 3}});
}

}  // namespace
}  // namespace traindyno
