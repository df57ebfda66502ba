// SPDX-License-Identifier: Apache-2.0
// Mixtures of experts on stages of several chunks, of unequal layers, or that defer the gradients
// of weights.
#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "emulator/model/forward_flops.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/stage_layers.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/support/sanitized_sample.hpp"
#include "tests/unit/program/expert_cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {
namespace {

/// 8 layers, the first `dense` of them with an MLP.
Model eight_layers(std::int64_t dense) {
    Model model = small_deepseek(8);
    model.dense_layers = dense;
    return model;
}

TrainingSetup interleaved(const Layout& layout) {
    TrainingSetup setup = setup_of(layout, 2 * layout.pp);
    setup.schedule = Schedule::interleaved;
    setup.virtual_stages = 2;
    return setup;
}

TrainingSetup uneven(const Layout& layout) {
    TrainingSetup setup = setup_of(layout, 3);
    setup.stage_layers = {3, 5};
    return setup;
}

TrainingSetup uneven_chunks(const Layout& layout) {
    TrainingSetup setup = interleaved(layout);
    setup.stage_layers = {1, 3, 2, 2};
    return setup;
}

/// Chunks and stages with layers of one kind, of the other, and of both.
std::vector<Case> cases() {
    std::vector<Case> list;
    for (const Layout& layout : {Layout{.pp = 2},
                                 Layout{.ep = 2, .dp = 2, .pp = 2},
                                 Layout{.tp = 2, .ep = 2, .dp = 4, .pp = 2}}) {
        for (const std::int64_t dense : {0, 1, 4, 5}) {
            for (TrainingSetup setup :
                 {interleaved(layout), uneven(layout), uneven_chunks(layout)}) {
                for (const Overlap overlap : {Overlap::off, Overlap::on}) {
                    setup.overlap_p2p = overlap;
                    setup.overlap_gradients = overlap;
                    setup.recompute = dense == 1 ? Recompute::full : Recompute::none;
                    list.push_back(
                        {.model = eight_layers(dense), .layout = layout, .setup = setup});
                }
            }
        }
    }
    return sanitized_sample(std::move(list));
}

void check(const Case& at) {
    const auto programs = build_all(at.model, at.layout, at.setup);
    ASSERT_EQ(verify(programs), std::vector<std::string>{}) << at.text();
    for (const StepProgram& program : programs) {
        const std::int64_t position =
            group_of(at.layout, GroupKind::ep, program.rank).rank_of(program.rank).value();
        ASSERT_EQ(counted_volumes(program),
                  closed_form_volumes(at.model, at.layout, at.setup, program.stage, position))
            << at.text();
        ASSERT_EQ(races_in(program), std::vector<std::string>{}) << at.text();
        ASSERT_EQ(overlaps_in(program), std::vector<std::string>{}) << at.text();
        if (at.setup.memory == MemoryMode::faithful) {
            ASSERT_EQ(stale_reads_in(program), std::vector<std::string>{}) << at.text();
        }
    }
}

TEST(ExpertPipelines, verify_and_exchange_what_closed_forms_say) {
    for (const Case& at : cases()) {
        check(at);
    }
}

TEST(ExpertPipelines, verify_in_aliased_memory) {
    for (Case at : cases()) {
        at.setup.memory = MemoryMode::aliased;
        const auto programs = build_all(at.model, at.layout, at.setup);
        ASSERT_EQ(verify(programs), std::vector<std::string>{}) << at.text();
        ASSERT_EQ(races_in(programs.back()), std::vector<std::string>{}) << at.text();
    }
}

TEST(ExpertPipelines, shard_experts_of_one_rank_with_all_else) {
    for (const Zero zero : {Zero::optimizer, Zero::gradients, Zero::parameters}) {
        const Layout layout{.dp = 2, .pp = 2};
        for (TrainingSetup setup : {interleaved(layout), uneven(layout), uneven_chunks(layout)}) {
            setup.zero = zero;
            check({.model = eight_layers(5), .layout = layout, .setup = setup});
        }
    }
}

/// Stages of a zero-bubble pipeline with layers of one kind, of the other and of both.
std::vector<Case> deferred_cases() {
    std::vector<Case> list;
    for (const Layout& layout : {Layout{.pp = 2},
                                 Layout{.ep = 2, .dp = 2, .pp = 2},
                                 Layout{.ep = 2, .dp = 4, .pp = 3},
                                 Layout{.tp = 2, .ep = 2, .dp = 2, .pp = 2},
                                 Layout{.tp = 2, .pp = 2}}) {
        for (const std::int64_t dense : {0, 1, 2}) {
            for (const Overlap overlap : {Overlap::off, Overlap::on}) {
                TrainingSetup setup = setup_of(layout, 4, 2);
                setup.schedule = Schedule::zero_bubble;
                setup.overlap_p2p = setup.overlap_gradients = overlap;
                setup.expert_skew = 0.5;
                constexpr std::array zeros{Zero::parameters, Zero::gradients, Zero::optimizer};
                setup.zero = layout.dp > 1 && overlap == Overlap::on
                                 ? zeros.at(static_cast<std::size_t>(dense % 3))
                                 : Zero::none;
                setup.sequence_parallel = layout.tp > 1 && overlap == Overlap::on
                                              ? SequenceParallel::on
                                              : SequenceParallel::off;
                Model model = eight_layers(dense);
                model.layers = 2 * layout.pp;
                list.push_back({.model = model, .layout = layout, .setup = setup});
            }
        }
    }
    return list;
}

TEST(ExpertPipelines, go_with_deferred_weight_gradients) {
    for (const Case& at : deferred_cases()) {
        ASSERT_EQ(problems_of(at.model, at.layout, at.setup), none) << at.text();
        check(at);
    }
}

TEST(ExpertPipelines, of_deferred_weight_gradients_verify_in_aliased_memory) {
    for (Case at : deferred_cases()) {
        at.setup.memory = MemoryMode::aliased;
        at.setup.zero = Zero::none;
        const auto programs = build_all(at.model, at.layout, at.setup);
        ASSERT_EQ(verify(programs), none) << at.text();
        ASSERT_EQ(races_in(programs.back()), none) << at.text();
    }
}

/// Of each product backward has, one is that of a weight: half of its work, without attention's
/// core, the head and the embedding.
TEST(ExpertPipelines, defer_the_products_of_weights_and_nothing_else) {
    for (const Case& at : deferred_cases()) {
        Flops weights;
        TrainingSetup undivided = at.setup;
        undivided.schedule = Schedule::one_f_one_b;
        for (std::int64_t rank = 0; rank < at.layout.ranks(); ++rank) {
            const StepProgram whole = build_step(at.model, at.layout, undivided, WorldRank{rank});
            const StepProgram cut = build_step(at.model, at.layout, at.setup, WorldRank{rank});
            EXPECT_EQ(executed_flops(cut, Phase::forward), executed_flops(whole, Phase::forward));
            EXPECT_EQ(executed_flops(cut, Phase::backward) + executed_flops(cut, Phase::weights),
                      executed_flops(whole, Phase::backward))
                << at.text();
            weights += executed_flops(cut, Phase::weights);
        }
        const ForwardFlops once = forward_flops_per_token(at.model);
        const bool sequence = at.setup.sequence_parallel == SequenceParallel::on;
        const double routers = static_cast<double>(sequence ? 0 : at.layout.tp - 1) * 2 *
                               static_cast<double>(at.model.hidden * at.model.experts *
                                                   (at.model.layers - at.model.dense_layers));
        const auto tokens = static_cast<double>(at.setup.global_batch * at.model.seq);
        const double expected = tokens * (once.linear.value() + routers);
        EXPECT_NEAR(weights.value(), expected, 1e-9 * expected) << at.text();
    }
}

TEST(ExpertPipelines, have_the_models_layers_of_each_kind) {
    for (const Case& at : cases()) {
        std::int64_t dense = 0;
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            const std::int64_t here =
                dense_layers_of_stage(at.model, at.layout, at.setup, Stage{stage});
            EXPECT_LE(here, layers_of_stage(at.model, at.layout, at.setup, Stage{stage}));
            dense += here;
        }
        EXPECT_EQ(dense, at.model.dense_layers) << at.text();
    }
    const Layout layout{.pp = 2};
    // Chunks of 1, 3, 2 and 2 layers: the second stage has layers 1 to 3, 6 and 7.
    EXPECT_EQ(dense_layers_of_stage(eight_layers(5), layout, uneven_chunks(layout), Stage{0}), 2);
    EXPECT_EQ(dense_layers_of_stage(eight_layers(5), layout, uneven_chunks(layout), Stage{1}), 3);
}

}  // namespace
}  // namespace traindyno
