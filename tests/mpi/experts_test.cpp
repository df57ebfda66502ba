// SPDX-License-Identifier: Apache-2.0
// Tokens that are dispatched come back: steps of mixtures of experts over MPI, every exchange
// marked and checked, on a CPU.
#include <array>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/build.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno {
namespace {

Model mixture(std::int64_t layers) {
    return {.name = "tiny-mixture",
            .layers = layers,
            .hidden = 64,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 16,
            .ffn = 96,
            .seq = 24,
            .vocab = 256,
            .gated_mlp = true,
            .tied_embeddings = false,
            .norm = Norm::rmsnorm,
            .positions = Positions::rotary,
            .bias = LinearBias::none,
            .experts = 8,
            .top_k = 2,
            .expert_ffn = 32,
            .shared_experts = 1,
            .dense_layers = 1};
}

/// The communicator of each of the program's groups. Splits by kind: a rank outside joins alone.
GroupCommunicators groups_of(const StepProgram& program, const Layout& layout) {
    const auto world = test::session().world();
    GroupCommunicators communicators(program.groups.size());
    for (std::size_t k = 0; k < enum_count<GroupKind>; ++k) {
        const auto kind = static_cast<GroupKind>(k);
        Group group = group_of(layout, kind, program.rank);
        if (group.members.empty()) {
            group.members = {program.rank};
        }
        auto communicator =
            world->split(static_cast<std::int32_t>(group.members.front().value()),
                         static_cast<std::int32_t>(group.rank_of(program.rank).value()));
        for (std::size_t i = 0; i < program.groups.size(); ++i) {
            if (program.groups[i].kind == kind) {
                communicators[i] = std::move(communicator);
            }
        }
    }
    return communicators;
}

void expect_right_exchanges(const Layout& layout, const TrainingSetup& setup) {
    const WorldRank rank{test::session().world()->rank().value()};
    const StepProgram program = build_step(mixture(2 * layout.pp), layout, setup, rank);
    const auto device =
        make_cpu_device({.cores = allowed_cores(), .precision = setup.precision, .seed = 1});
    device->prepare(program);
    const IssueOrder order(program);
    const GroupCommunicators groups = groups_of(program, layout);
    Engine engine(order, *device, groups, {.timeout = std::chrono::seconds{30}});
    for (int step = 0; step < 3; ++step) {
        (void)engine.run_step(Traffic::real, Tracing::off);
    }
    EXPECT_GT(engine.checks().checked, 0) << to_string(layout);
    EXPECT_EQ(engine.checks().wrong, 0) << to_string(layout);
}

/// Layouts of this job: all ranks in one expert-parallel group, and where there are enough of them
/// beside copies of the experts, tensor and pipeline parallelism.
std::vector<Layout> layouts() {
    const std::int64_t ranks = test::session().world()->size();
    std::vector<Layout> list{{.ep = ranks, .dp = ranks}};
    if (ranks >= 4) {
        list.push_back({.ep = ranks / 2, .dp = ranks});
        list.push_back({.tp = 2, .ep = ranks / 2, .dp = ranks / 2});
        list.push_back({.ep = ranks / 2, .dp = ranks / 2, .pp = 2});
    }
    if (ranks >= 8) {
        list.push_back({.tp = 2, .ep = 2, .dp = 2, .pp = 2});
    }
    return list;
}

TEST(ExpertsOverMpi, tokens_come_back_from_equal_and_unequal_parts) {
    struct Load {
        double skew = 0;
        double capacity_factor = 0;
    };

    for (const Layout& layout : layouts()) {
        for (const Load& load : {Load{}, Load{.skew = 1}, Load{.capacity_factor = 1.25}}) {
            TrainingSetup setup{.micro_batch = 2, .global_batch = 4 * layout.dp};
            setup.expert_skew = load.skew;
            setup.capacity_factor = load.capacity_factor;
            expect_right_exchanges(layout, setup);
            if (layout.tp > 1) {
                setup.sequence_parallel = SequenceParallel::on;
                expect_right_exchanges(layout, setup);
            }
        }
    }
}

TEST(ExpertsOverMpi, run_again_in_backward_and_in_bf16) {
    const Layout layout = layouts().back();
    for (const Recompute recompute : {Recompute::selective, Recompute::full}) {
        TrainingSetup setup{.micro_batch = 2, .global_batch = 4 * layout.dp};
        setup.recompute = recompute;
        setup.precision = Precision::bf16;
        setup.expert_skew = 0.5;
        expect_right_exchanges(layout, setup);
    }
}

/// Chunks of one layer each: the first of the model has an MLP, the others experts.
TEST(ExpertsOverMpi, run_on_interleaved_stages) {
    const std::int64_t ranks = test::session().world()->size();
    if (ranks < 4) {
        GTEST_SKIP() << "two stages of two expert-parallel ranks take four";
    }
    const Layout layout{.ep = 2, .dp = ranks / 2, .pp = 2};
    for (const Overlap overlap : {Overlap::off, Overlap::on}) {
        TrainingSetup setup{.micro_batch = 2, .global_batch = 8 * layout.dp};
        setup.schedule = Schedule::interleaved;
        setup.virtual_stages = 2;
        setup.overlap_p2p = overlap;
        setup.expert_skew = 0.5;
        expect_right_exchanges(layout, setup);
    }
}

}  // namespace
}  // namespace traindyno
