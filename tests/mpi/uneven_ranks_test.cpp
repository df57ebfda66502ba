// SPDX-License-Identifier: Apache-2.0
// Ranks of one program that compute at different speeds still use the same calls of MPI.
#include <chrono>
#include <cstdint>

#include <gtest/gtest.h>

#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/build.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno {
namespace {

/// Every operation takes between 0 and 200 us, another time on every rank and in every step.
TimedOptions uneven(std::int64_t rank) {
    return {.duration =
                [state = static_cast<std::uint64_t>(rank) + 1](const ComputeOp&) mutable {
                    constexpr std::uint64_t multiplier = 6364136223846793005U;  // Knuth's MMIX
                    state = state * multiplier + 1442695040888963407U;
                    return SimTime{std::chrono::microseconds{(state >> 33U) % 200}};
                },
            .name = "uneven"};
}

void expect_to_finish(const TrainingSetup& setup, int steps) {
    const auto world = test::session().world();
    const Model model{.name = "tiny",
                      .layers = 3,
                      .hidden = 64,
                      .heads = 8,
                      .kv_heads = 8,
                      .head_size = 8,
                      .ffn = 256,
                      .seq = 16,
                      .vocab = 256};
    const Layout layout{.tp = world->size()};
    const StepProgram program = build_step(model, layout, setup, WorldRank{world->rank().value()});
    const auto device = make_timed_device(uneven(world->rank().value()));
    device->prepare(program);
    const IssueOrder order(program);
    GroupCommunicators groups;
    for (std::size_t i = 0; i < program.groups.size(); ++i) {
        groups.push_back(world->split(0, static_cast<std::int32_t>(world->rank().value())));
    }
    Engine engine(order, *device, groups, {.timeout = std::chrono::seconds{20}});
    for (int step = 0; step < steps; ++step) {
        (void)engine.run_step(Traffic::real, Tracing::on);
    }
    EXPECT_GT(engine.checks().checked, 0);
    EXPECT_EQ(engine.checks().wrong, 0);
}

TEST(UnevenRanks, finish_steps_with_tensor_parallelism) {
    expect_to_finish({.global_batch = 2}, 20);
}

TEST(UnevenRanks, finish_steps_with_sequence_parallelism) {
    expect_to_finish({.global_batch = 2, .sequence_parallel = SequenceParallel::on}, 5);
}

TEST(UnevenRanks, finish_steps_with_products_in_chunks) {
    expect_to_finish(
        {.global_batch = 2, .sequence_parallel = SequenceParallel::on, .overlap_tp = Overlap::on},
        5);
}

}  // namespace
}  // namespace traindyno
