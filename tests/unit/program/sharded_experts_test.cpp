// SPDX-License-Identifier: Apache-2.0
// Experts whose state fewer ranks share than share all else.
#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "emulator/program/print.hpp"
#include "emulator/program/sharding.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/support/sanitized_sample.hpp"
#include "tests/unit/program/block_names.hpp"
#include "tests/unit/program/expert_cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {
namespace {

void add_setups(const Layout& layout, const TrainingSetup& base, std::vector<Case>& cases) {
    for (const Zero zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
        for (const GradientReduction reduction :
             {GradientReduction::last_micro_batch, GradientReduction::every_micro_batch}) {
            for (const Overlap overlap : {Overlap::on, Overlap::off}) {
                TrainingSetup setup = base;
                setup.zero = zero;
                setup.gradient_reduction = reduction;
                setup.overlap_gradients = setup.overlap_parameters = overlap;
                setup.sequence_parallel = layout.tp > 1 && overlap == Overlap::on
                                              ? SequenceParallel::on
                                              : SequenceParallel::off;
                setup.memory = zero == Zero::gradients && overlap == Overlap::on
                                   ? MemoryMode::aliased
                                   : MemoryMode::faithful;
                for (Model model : {small_mixtral(layout.pp), small_deepseek(2 * layout.pp)}) {
                    model.tied_embeddings = reduction == GradientReduction::every_micro_batch;
                    if (problems_of(model, layout, setup).empty()) {
                        cases.push_back({.model = model, .layout = layout, .setup = setup});
                    }
                }
            }
        }
    }
}

/// Every ZeRO stage and way to reduce gradients where experts are apart: with one copy of them and
/// with several, beside tensor parallelism, on one stage and on two.
std::vector<Case> cases() {
    std::vector<Case> list;
    for (const Layout& layout : {Layout{.ep = 2, .dp = 2},
                                 Layout{.ep = 2, .dp = 4},
                                 Layout{.ep = 4, .dp = 4},
                                 Layout{.ep = 2, .dp = 6},
                                 Layout{.tp = 2, .ep = 2, .dp = 4},
                                 Layout{.ep = 2, .dp = 4, .pp = 2},
                                 Layout{.tp = 2, .ep = 2, .dp = 2, .pp = 2}}) {
        for (const std::int64_t micro_batches : {1, 3}) {
            TrainingSetup setup = setup_of(layout, micro_batches, 2);
            setup.bucket = Bytes{50'000};
            add_setups(layout, setup, list);
        }
    }
    return sanitized_sample(std::move(list));
}

std::int64_t expert_position(const Layout& layout, WorldRank rank) {
    return group_of(layout, GroupKind::ep, rank).rank_of(rank).value();
}

TEST(ShardedExperts, verify_and_exchange_what_closed_forms_say) {
    for (const Case& at : cases()) {
        const auto programs = build_all(at.model, at.layout, at.setup);
        ASSERT_EQ(verify(programs), none) << at.text();
        for (const StepProgram& program : programs) {
            ASSERT_EQ(counted_volumes(program),
                      closed_form_volumes(at.model,
                                          at.layout,
                                          at.setup,
                                          program.stage,
                                          expert_position(at.layout, program.rank)))
                << at.text() << " rank " << program.rank.value();
        }
    }
}

TEST(ShardedExperts, neither_race_nor_read_what_nothing_wrote) {
    for (const Case& at : cases()) {
        if (at.setup.memory == MemoryMode::aliased) {
            continue;  // layers share a place, and what is gathered into it means nothing
        }
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            const WorldRank rank = rank_at(at.layout, {.dp = at.layout.dp - 1, .pp = stage});
            const StepProgram program = build_step(at.model, at.layout, at.setup, rank);
            ASSERT_EQ(races_in(program), none) << at.text();
            ASSERT_EQ(overlaps_in(program), none) << at.text();
            ASSERT_EQ(stale_reads_in(program), none) << at.text();
        }
    }
}

TEST(ShardedExperts, are_printed_and_read_back) {
    for (const Case& at : cases()) {
        const StepProgram program = build_step(at.model, at.layout, at.setup, WorldRank{1});
        ASSERT_EQ(parse_program(print(program)), program) << at.text();
    }
}

/// Of one rank's optimizer: all elements that it updates, one after another in its state.
std::int64_t updated_by(const StepProgram& program) {
    std::int64_t own = 0;
    for (const BlockOp& op : block_named(program, "optimizer").ops) {
        const auto* compute = std::get_if<ComputeOp>(&op.op);
        if (compute != nullptr && std::holds_alternative<OptimizerStep>(*compute)) {
            EXPECT_EQ(std::get<OptimizerStep>(*compute).offset, own);
            own += std::get<OptimizerStep>(*compute).elements;
        }
    }
    return own;
}

/// Over the ranks of a stage, which together share all else and hold every expert once or more.
TEST(ShardedExperts, update_every_parameter_once) {
    for (const Case& at : cases()) {
        if (at.layout.pp > 1 || at.layout.tp > 1 || at.setup.memory == MemoryMode::aliased ||
            at.setup.zero == Zero::none) {
            continue;
        }
        const Sharding sharding = sharding_of(at.model, at.layout, at.setup);
        std::int64_t updated = 0;
        for (const StepProgram& program : build_all(at.model, at.layout, at.setup)) {
            const std::int64_t own = updated_by(program);
            EXPECT_EQ(own, extent_of(program.extents, Space::master)) << at.text();
            updated += own;
        }
        const std::int64_t tables = at.model.tied_embeddings ? 1 : 2;
        const std::int64_t padding = padded_vocab(at.model, at.layout) - at.model.vocab;
        const std::int64_t exact = parameters(at.model) + tables * padding * at.model.hidden;
        EXPECT_GE(updated, exact) << at.text();
        // Each unit is padded, and on every rank of an expert-parallel group its experts.
        EXPECT_LT(updated - exact, (2 * at.model.layers + 2) * sharding.multiple()) << at.text();
    }
}

/// Adam's two moments and the master weights of D dense and X expert parameters: 12 D / d bytes and
/// 12 X / ep / (d / ep), so that the state of a rank does not depend on ep.
TEST(ShardedExperts, take_as_much_state_however_many_ranks_hold_them) {
    for (const std::int64_t ep : {1, 2, 4, 8}) {
        const Layout layout{.ep = ep, .dp = 8};
        TrainingSetup setup = setup_of(layout, 1);
        setup.zero = Zero::optimizer;
        const Model model = small_mixtral(4);
        const StepProgram program = build_step(model, layout, setup, WorldRank{0});
        const std::int64_t padding = padded_vocab(model, layout) - model.vocab;
        const std::int64_t exact = (parameters(model) + 2 * padding * model.hidden) / 8;
        const std::int64_t state = extent_of(program.extents, Space::adam_m);
        EXPECT_GE(state, exact) << ep;
        EXPECT_LT(state - exact, (2 * model.layers + 2) * arena_alignment) << ep;
    }
}

/// Forward of a layer waits for both of its gatherings; they are on lanes of their own.
TEST(ShardedExperts, are_gathered_beside_all_else) {
    const Layout layout{.ep = 2, .dp = 4};
    TrainingSetup setup = setup_of(layout, 1);
    setup.zero = Zero::parameters;
    const StepProgram program = build_step(small_mixtral(2), layout, setup, WorldRank{0});
    const auto gathers_experts = [](const Block& block) {
        return block.name == "gather_unit" && block.ops.back().lane == Lane::expert_dp;
    };
    const auto gathering =
        std::find_if(program.blocks.begin(), program.blocks.end(), gathers_experts);
    ASSERT_NE(gathering, program.blocks.end());
    ASSERT_EQ(gathering->ops.size(), 2U);
    EXPECT_TRUE(gathering->ops[1].after.empty());
}

/// Copied instead: from where the rank keeps them to where the layer's other weights are gathered.
TEST(ShardedExperts, of_one_rank_alone_are_not_exchanged) {
    const Layout layout{.ep = 4, .dp = 4};
    TrainingSetup setup = setup_of(layout, 1);
    setup.zero = Zero::parameters;
    const Model model = small_mixtral(3);
    const StepProgram program = build_step(model, layout, setup, WorldRank{2});
    const auto runs_of = [&](std::string_view name) {
        return std::count_if(program.tasks.begin(), program.tasks.end(), [&](const Task& task) {
            return program.blocks[task.block.index()].name == name;
        });
    };
    EXPECT_EQ(runs_of("copy_experts"), 2 * model.layers);
    EXPECT_EQ(runs_of("keep_experts"), model.layers);
    for (const Volume& volume : counted_volumes(program)) {
        EXPECT_NE(volume.group, GroupKind::expert_dp);
    }
}

TEST(ShardedExperts, do_not_go_with_hybrid_groups) {
    TrainingSetup setup = setup_of({.dp = 8}, 1);
    setup.zero = Zero::optimizer;
    const auto problems = problems_of(small_mixtral(2), {.ep = 2, .dp = 8, .shard = 4}, setup);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_TRUE(problems.front().starts_with("shard: 4 does not go with ep 2 ("));
    EXPECT_EQ(problems_of(small_mixtral(2), {.ep = 2, .dp = 8, .shard = 8}, setup), none);
    EXPECT_EQ(problems_of(small_mixtral(2), {.dp = 8, .shard = 4}, setup), none);
}

}  // namespace
}  // namespace traindyno
