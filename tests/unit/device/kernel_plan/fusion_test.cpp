// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fusion.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/device/kernel_plan/folds.hpp"
#include "tests/unit/device/kernel_plan/symbolic_step.hpp"
#include "tests/unit/program/cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {

namespace {

bool nothing(const FoldCandidate& /*candidate*/) {
    return false;
}

FoldChoice all_but(std::vector<Fold> refused) {
    return [refused = std::move(refused)](const FoldCandidate& candidate) {
        return std::find(refused.begin(), refused.end(), candidate.fold) == refused.end();
    };
}

/// Steps that fold, in the first block of that name.
std::vector<Folded> folds_in(const StepProgram& program,
                             const std::string& name,
                             const FoldChoice& choice = everything) {
    const std::vector<BlockPlan> plans = plan_blocks(program, choice);
    for (std::size_t block = 0; block < plans.size(); ++block) {
        if (program.blocks[block].name == name) {
            return folds_of(plans[block]);
        }
    }
    ADD_FAILURE() << "no block " << name;
    return {};
}

StepProgram gpt(std::int64_t tp, Recompute recompute) {
    const Layout layout{.tp = tp};
    TrainingSetup setup = setup_of(layout, 2);
    setup.recompute = recompute;
    return build_step(small_gpt(2), layout, setup, WorldRank{0});
}

// A block of GPT in the order of layer_blocks.cpp:
// forward   0 norm, 1 qkv, 2 bias, 3 attention, 4 projection, 5 bias, 6 residual,
//           7 norm, 8 up, 9 bias, 10 gelu, 11 down, 12 bias, 13 residual
// backward  0 down dx, 1 down dw, 2 down db, 3 gelu, 4 up dx, 5 up dw, 6 up db, 7 norm, 8 residual,
//           9 projection dx, 10 dw, 11 db, 12 attention, 13 qkv dx, 14 dw, 15 db, 16 norm, ...

TEST(Fusion, forward_of_gpt_folds_every_bias_and_gelu) {
    EXPECT_EQ(folds_in(gpt(1, Recompute::none), "layer_forward"),
              (std::vector<Folded>{{Fold::bias, {1, 2}},
                                   {Fold::bias, {4, 5}},
                                   {Fold::bias_gelu, {8, 9, 10}},
                                   {Fold::bias, {11, 12}}}));
}

TEST(Fusion, bias_behind_an_all_reduce_stays_alone) {
    // 4 projection, 5 all-reduce, 6 bias; 9 up, 10 bias, 11 gelu; 12 down, 13 all-reduce, 14 bias
    EXPECT_EQ(folds_in(gpt(2, Recompute::none), "layer_forward"),
              (std::vector<Folded>{{Fold::bias, {1, 2}}, {Fold::bias_gelu, {9, 10, 11}}}));
}

TEST(Fusion, no_fold_reaches_across_a_gathering_or_a_scattering) {
    const Layout layout{.tp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.sequence_parallel = SequenceParallel::on;
    const auto program = [&] { return build_step(small_gpt(1), layout, setup, WorldRank{0}); };
    // 1 gathered, 2 qkv, 3 bias; 5 projection, 6 scattered, 7 bias; 10 gathered, 11 up, 12 bias,
    // 13 gelu; 14 down, 15 scattered, 16 bias
    EXPECT_EQ(folds_in(program(), "layer_forward"),
              (std::vector<Folded>{{Fold::bias, {2, 3}}, {Fold::bias_gelu, {11, 12, 13}}}));
    // 0 gathered, 1 down dx, 2 dw, 3 db of its own rows, 4 gelu; 5 gathered, 6 up dx, 7 scattered,
    // 8 dw, 9 db; ... 19 scattered, 20 qkv dw, 21 db
    EXPECT_EQ(folds_in(program(), "layer_backward"),
              (std::vector<Folded>{{Fold::gelu_backward_bias_gradient, {1, 4, 9}},
                                   {Fold::bias_gradient, {20, 21}}}));
    // 1, 2 gathered, 3 and 5 the chunks of qkv; 15, 16 gathered, 17 and 19 those of up
    setup.overlap_tp = Overlap::on;
    EXPECT_EQ(folds_in(program(), "layer_forward"),
              (std::vector<Folded>{{Fold::bias, {3, 4}},
                                   {Fold::bias, {5, 6}},
                                   {Fold::bias, {17, 18}},
                                   {Fold::bias, {19, 20}}}));
}

TEST(Fusion, backward_of_gpt_folds_gelu_and_every_bias_gradient) {
    EXPECT_EQ(folds_in(gpt(1, Recompute::none), "layer_backward"),
              (std::vector<Folded>{{Fold::gelu_backward_bias_gradient, {0, 3, 6}},
                                   {Fold::bias_gradient, {1, 2}},
                                   {Fold::bias_gradient, {10, 11}},
                                   {Fold::bias_gradient, {14, 15}}}));
    // with an all-reduce behind each input gradient: 5 and 15
    EXPECT_EQ(folds_in(gpt(2, Recompute::none), "layer_backward"),
              (std::vector<Folded>{{Fold::gelu_backward_bias_gradient, {0, 3, 7}},
                                   {Fold::bias_gradient, {1, 2}},
                                   {Fold::bias_gradient, {11, 12}},
                                   {Fold::bias_gradient, {16, 17}}}));
}

TEST(Fusion, recomputed_forward_folds_as_forward_does) {
    EXPECT_EQ(folds_in(gpt(1, Recompute::full), "layer_backward"),
              (std::vector<Folded>{{Fold::bias, {1, 2}},
                                   {Fold::bias, {4, 5}},
                                   {Fold::bias_gelu, {8, 9, 10}},
                                   {Fold::bias, {11, 12}},
                                   {Fold::gelu_backward_bias_gradient, {14, 17, 20}},
                                   {Fold::bias_gradient, {15, 16}},
                                   {Fold::bias_gradient, {24, 25}},
                                   {Fold::bias_gradient, {28, 29}}}));
    // 9 attention, recomputed
    EXPECT_EQ(folds_in(gpt(1, Recompute::selective), "layer_backward"),
              (std::vector<Folded>{{Fold::gelu_backward_bias_gradient, {0, 3, 6}},
                                   {Fold::bias_gradient, {1, 2}},
                                   {Fold::bias_gradient, {11, 12}},
                                   {Fold::bias_gradient, {15, 16}}}));
}

TEST(Fusion, llama_has_nothing_to_fold) {
    for (const std::int64_t tp : {1, 2}) {
        const Layout layout{.tp = tp};
        for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
            TrainingSetup setup = setup_of(layout, 1);
            setup.recompute = recompute;
            const StepProgram program = build_step(small_llama(2), layout, setup, WorldRank{0});
            for (const BlockPlan& plan : plan_blocks(program, everything)) {
                EXPECT_TRUE(folds_of(plan).empty());
            }
        }
    }
}

TEST(Fusion, takes_the_longest_fold_that_is_chosen) {
    const StepProgram program = gpt(1, Recompute::none);
    EXPECT_EQ(folds_in(program, "layer_forward", all_but({Fold::bias_gelu})),
              (std::vector<Folded>{{Fold::bias, {1, 2}},
                                   {Fold::bias, {4, 5}},
                                   {Fold::bias, {8, 9}},
                                   {Fold::bias, {11, 12}}}));
    EXPECT_EQ(folds_in(program, "layer_backward", all_but({Fold::gelu_backward_bias_gradient})),
              (std::vector<Folded>{{Fold::gelu_backward, {0, 3}},
                                   {Fold::bias_gradient, {1, 2}},
                                   {Fold::bias_gradient, {5, 6}},
                                   {Fold::bias_gradient, {10, 11}},
                                   {Fold::bias_gradient, {14, 15}}}));
    EXPECT_TRUE(folds_in(program, "layer_forward", nothing).empty());
}

TEST(Fusion, choice_is_asked_about_products_of_the_block) {
    const StepProgram program = gpt(1, Recompute::none);
    int asked = 0;
    const auto plans = plan_blocks(program, [&](const FoldCandidate& candidate) {
        const auto& op = std::get<ComputeOp>(candidate.block->ops[candidate.op].op);
        EXPECT_EQ(&std::get<MatMul>(op), candidate.product);
        EXPECT_EQ(candidate.step->ops.front(), candidate.op);
        EXPECT_EQ(candidate.step->fold, candidate.fold);
        ++asked;
        return false;
    });
    // forward: 4 biases and 1 gelu; backward: 4 bias gradients, gelu with and without one
    EXPECT_EQ(asked, 11);
    EXPECT_TRUE(folds_of(plans.front()).empty());
}

std::vector<Case> cases() {
    std::vector<Case> list = grid(2, {1, 2});
    const Layout layout{.tp = 2, .dp = 1, .pp = 2};
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        TrainingSetup setup = setup_of(layout, 3);
        setup.recompute = recompute;
        list.push_back({.model = small_gpt(4), .layout = layout, .setup = setup});
    }
    return list;
}

/// Every way of allowing some folds.
std::vector<FoldChoice> choices() {
    std::vector<FoldChoice> list;
    for (unsigned bits = 0; bits < 32; ++bits) {
        list.emplace_back([bits](const FoldCandidate& candidate) {
            return ((bits >> (static_cast<unsigned>(candidate.fold) - 1)) & 1U) != 0;
        });
    }
    return list;
}

TEST(FusedStep, runs_every_compute_operation_once) {
    for (const Case& c : cases()) {
        for (const StepProgram& program : build_all(c.model, c.layout, c.setup)) {
            const std::vector<BlockPlan> plans = plan_blocks(program, everything);
            ASSERT_EQ(plans.size(), program.blocks.size());
            for (std::size_t block = 0; block < plans.size(); ++block) {
                const std::vector<BlockOp>& ops = program.blocks[block].ops;
                std::vector<std::optional<std::uint32_t>> run_by(ops.size());
                for (std::uint32_t step = 0; step < plans[block].steps.size(); ++step) {
                    for (const std::uint32_t op : plans[block].steps[step].ops) {
                        EXPECT_FALSE(run_by[op].has_value()) << c.text();
                        run_by[op] = step;
                    }
                }
                EXPECT_EQ(run_by, plans[block].step_of) << c.text();
                for (std::size_t op = 0; op < ops.size(); ++op) {
                    EXPECT_EQ(run_by[op].has_value(),
                              std::holds_alternative<ComputeOp>(ops[op].op));
                }
            }
        }
    }
}

TEST(FusedStep, gives_every_operation_the_operands_it_has_unfused) {
    for (const Case& c : cases()) {
        const StepProgram program = build_step(c.model, c.layout, c.setup, WorldRank{0});
        const OperationInputs expected = run_symbolically(program);
        for (const FoldChoice& choice : choices()) {
            EXPECT_EQ(run_symbolically(program, plan_blocks(program, choice)), expected)
                << c.text();
        }
    }
}

TEST(FusedStep, brings_neither_races_nor_stale_reads) {
    for (const Case& c : cases()) {
        for (const StepProgram& program : build_all(c.model, c.layout, c.setup)) {
            const StepProgram fused = reordered(program, plan_blocks(program, everything));
            EXPECT_TRUE(races_in(fused).empty()) << c.text();
            EXPECT_TRUE(stale_reads_in(fused).empty()) << c.text();
        }
    }
}

}  // namespace
}  // namespace traindyno
