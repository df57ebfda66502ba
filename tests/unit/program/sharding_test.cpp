// SPDX-License-Identifier: Apache-2.0
// Sharded data parallelism: what programs exchange, keep and wait for.
#include "emulator/program/sharding.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "emulator/program/memory.hpp"
#include "emulator/program/print.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {

namespace {

StepProgram sharded_program_of(const Case& at, std::int64_t rank = 0) {
    return build_step(at.model, at.layout, at.setup, WorldRank{rank});
}

/// One rank of each stage, where layers have memory of their own: values mean nothing elsewhere.
template <class Check>
void for_each_stage(const std::vector<Case>& cases, const Check& check) {
    for (const Case& at : cases) {
        if (at.setup.memory == MemoryMode::aliased) {
            continue;
        }
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            check(sharded_program_of(
                      at, rank_at(at.layout, {.dp = at.layout.dp - 1, .pp = stage}).value()),
                  at.text());
        }
    }
}

Bytes bytes_of(const StepProgram& program, std::string_view name) {
    const std::vector<MemoryItem> items = memory_items(program);
    return std::find_if(items.begin(),
                        items.end(),
                        [&](const MemoryItem& item) { return item.name == name; })
        ->bytes;
}

/// Weights, gradients and optimizer state.
Bytes state_of(const StepProgram& program) {
    Bytes sum;
    for (const char* name : {"weights", "gradients", "master_weights", "adam_m", "adam_v"}) {
        sum += bytes_of(program, name);
    }
    return sum;
}

}  // namespace

TEST(Sharding, gives_programs_that_fit_together_and_move_the_closed_forms) {
    for (const Case& at : sharded_grid(8, {1, 3})) {
        const std::vector<StepProgram> programs = build_all(at.model, at.layout, at.setup);
        ASSERT_EQ(verify(programs), none) << at.text();
        for (const StepProgram& program : programs) {
            ASSERT_EQ(counted_volumes(program),
                      closed_form_volumes(at.model, at.layout, at.setup, program.stage))
                << at.text() << " rank " << program.rank.value();
        }
    }
}

TEST(Sharding, keeps_operations_from_racing_each_other) {
    for_each_stage(sharded_grid(4, {1, 3}),
                   [](const StepProgram& program, const std::string& text) {
                       ASSERT_EQ(races_in(program), none) << text;
                   });
}

TEST(Sharding, reads_what_was_written_for_the_same_micro_batch) {
    for_each_stage(sharded_grid(4, {1, 3}),
                   [](const StepProgram& program, const std::string& text) {
                       ASSERT_EQ(stale_reads_in(program), none) << text;
                       ASSERT_EQ(overlaps_in(program), none) << text;
                   });
}

TEST(Sharding, prints_programs_that_parse) {
    for_each_stage(sharded_grid(4, {3}), [](const StepProgram& program, const std::string& text) {
        ASSERT_EQ(parse_program(print(program)), program) << text;
    });
}

/// Every gradient is updated once by one of those that share it, with its own weight and state.
TEST(Sharding, updates_every_parameter_once_over_the_ranks_that_share_it) {
    for (const Case& at : sharded_grid(8, {1, 3})) {
        if (at.layout.pp > 1 || at.layout.tp > 1 || at.setup.memory == MemoryMode::aliased) {
            continue;
        }
        const Sharding sharding = sharding_of(at.model, at.layout, at.setup);
        std::int64_t updated = 0;
        for (std::int64_t rank = 0; rank < sharding.ranks; ++rank) {
            const StepProgram program = sharded_program_of(at, rank);
            std::int64_t own = 0;
            for (const BlockOp& op : program.blocks.back().ops) {
                const auto* compute = std::get_if<ComputeOp>(&op.op);
                if (compute != nullptr && std::holds_alternative<OptimizerStep>(*compute)) {
                    EXPECT_EQ(std::get<OptimizerStep>(*compute).offset, own);
                    own += std::get<OptimizerStep>(*compute).elements;
                }
            }
            if (program.blocks.back().name == "optimizer") {
                EXPECT_EQ(own, extent_of(program.extents, Space::master)) << at.text();
                updated += own;
            }
        }
        if (updated > 0) {
            const std::int64_t tables = at.model.tied_embeddings ? 1 : 2;
            const std::int64_t padding = padded_vocab(at.model, at.layout) - at.model.vocab;
            const std::int64_t exact = parameters(at.model) + tables * padding * at.model.hidden;
            EXPECT_GE(updated, exact);
            EXPECT_LT(updated - exact, (at.model.layers + 2) * sharding.multiple()) << at.text();
        }
    }
}

/// Rajbhandari et al., ZeRO, section 5 and figure 1: with 2 bytes of weight, 2 of gradient and
/// K = 12 of optimizer state per parameter, N ranks need 16, 4 + 12/N, 2 + 14/N and 16/N bytes.
/// Beside them stand the buffers that units take in turn and the padding of shards.
TEST(Sharding, needs_the_bytes_per_parameter_of_the_paper) {
    Model model = small_llama(24);
    model.vocab = 128;
    for (const std::int64_t ranks : {2, 4, 8}) {
        const Layout layout{.dp = ranks};
        TrainingSetup setup = setup_of(layout, 1);
        setup.precision = Precision::bf16;
        setup.gradient_type = DType::bf16;
        const auto n = static_cast<double>(ranks);
        const std::array wanted{16.0, 4 + 12 / n, 2 + 14 / n, 16 / n};
        for (std::size_t stage = 0; stage < wanted.size(); ++stage) {
            setup.zero = static_cast<Zero>(stage);
            const StepProgram program = build_step(model, layout, setup, WorldRank{0});
            const Sharding sharding = sharding_of(model, layout, setup);
            // Two layers' gradients, two layers' weights, and what surrounds the layers.
            const std::int64_t layer =
                sharding.padded(parameters(small_llama(25)) - parameters(small_llama(24)));
            const std::int64_t edges =
                sharding.padded(128 * model.hidden) + sharding.padded(129 * model.hidden);
            const std::int64_t buffers = (2 * layer + edges) * (stage == 3   ? 4
                                                                : stage == 2 ? 2
                                                                             : 0);
            const double exact = wanted.at(stage) * static_cast<double>(parameters(model));
            const double padding = 16.0 * 26 * static_cast<double>(sharding.multiple());
            const double found = state_of(program).as_double() - static_cast<double>(buffers);
            EXPECT_GE(found, exact) << "zero " << stage << " of " << ranks;
            EXPECT_LE(found, exact + padding) << "zero " << stage << " of " << ranks;
        }
    }
}

TEST(Sharding, with_hybrid_groups_keeps_the_share_of_a_shard_group) {
    TrainingSetup setup = setup_of({.dp = 8}, 1);
    setup.zero = Zero::optimizer;
    const auto state = [&](std::int64_t shard) {
        const Layout layout{.dp = 8, .shard = shard};
        return bytes_of(build_step(small_gpt(2), layout, setup, WorldRank{0}), "adam_m");
    };
    const Layout four{.dp = 4};
    TrainingSetup of_four = setup;
    of_four.global_batch = 4;
    EXPECT_EQ(state(4), bytes_of(build_step(small_gpt(2), four, of_four, WorldRank{0}), "adam_m"));
    EXPECT_GT(state(2), state(4));
    EXPECT_GT(state(4), state(0));
}

TEST(Sharding, gathers_as_many_layers_ahead_as_asked) {
    const Layout layout{.dp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.zero = Zero::parameters;
    for (const std::int64_t prefetch : {0, 1, 2, 5}) {
        setup.prefetch = prefetch;
        const StepProgram program = build_step(small_gpt(8), layout, setup, WorldRank{0});
        std::int64_t gathered = 0;
        std::int64_t used = 0;
        std::int64_t most = 0;
        for (const Task& task : program.tasks) {
            const std::string& name = program.blocks[task.block.index()].name;
            gathered += name == "gather_unit" ? 1 : 0;
            used += name == "layer_forward" || name == "embedding_forward" ||
                            name == "head_forward" || name == "layer_backward"
                        ? 1
                        : 0;
            most = std::max(most, gathered - used);
        }
        EXPECT_EQ(gathered, 2 + 2 * 8);  // embedding, for the head once more, layers twice
        EXPECT_EQ(used, gathered);
        EXPECT_EQ(most, prefetch + 1);
    }
}

TEST(Sharding, of_zero_1_lets_forward_begin_when_its_first_buckets_are_there) {
    const Layout layout{.dp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.zero = Zero::optimizer;
    setup.bucket = Bytes{100'000};
    const StepProgram program = build_step(small_gpt(8), layout, setup, WorldRank{0});
    std::set<TaskId> gatherings;
    std::map<std::string, std::int64_t> waits;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task& task = program.tasks[i];
        const std::string& name = program.blocks[task.block.index()].name;
        if (name == "gather_bucket") {
            gatherings.insert(TaskId{static_cast<std::int64_t>(i)});
        }
        waits[name] += std::count_if(task.after.begin(), task.after.end(), [&](TaskId earlier) {
            return gatherings.contains(earlier);
        });
    }
    EXPECT_EQ(waits["embedding_forward"], 1);
    EXPECT_EQ(waits["layer_forward"], 8);
    EXPECT_EQ(waits["layer_backward"], 0);
    EXPECT_GT(gatherings.size(), 8U);
}

TEST(Sharding, of_one_replica_changes_nothing) {
    const Layout layout{.tp = 2, .pp = 2};
    TrainingSetup setup = setup_of(layout, 3);
    const StepProgram plain = build_step(small_gpt(2), layout, setup, WorldRank{0});
    for (const Zero zero : {Zero::optimizer, Zero::gradients, Zero::parameters}) {
        setup.zero = zero;
        EXPECT_EQ(build_step(small_gpt(2), layout, setup, WorldRank{0}), plain);
    }
}

TEST(Sharding, has_few_blocks_for_many_micro_batches) {
    const Layout layout{.dp = 4};
    for (const Zero zero : {Zero::gradients, Zero::parameters}) {
        const auto blocks = [&](std::int64_t m) {
            TrainingSetup setup = setup_of(layout, m);
            setup.zero = zero;
            setup.gradient_reduction = GradientReduction::every_micro_batch;
            return build_step(small_gpt(8), layout, setup, WorldRank{0}).blocks.size();
        };
        EXPECT_EQ(blocks(8), blocks(64));
    }
}

}  // namespace traindyno
