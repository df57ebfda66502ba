// SPDX-License-Identifier: Apache-2.0
// Sequences in parts over MPI: every rank's part of a layer is that of whole sequences, and steps
// with context parallelism run to their end with what they exchange unchanged.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/build.hpp"
#include "tests/mpi/mpi_test.hpp"
#include "tests/support/context_layer.hpp"

namespace traindyno {
namespace {

using test::ContextLayer;
using test::LayerResult;
using test::Parts;

constexpr std::array exchanges{ContextExchange::ring, ContextExchange::all_gather};
constexpr std::array balances{ContextBalance::zigzag, ContextBalance::contiguous};

/// So small that no communicated buffer is long enough for marks, which replace values.
const Model small{.name = "small",
                  .layers = 1,
                  .hidden = 8,
                  .heads = 4,
                  .kv_heads = 1,
                  .head_size = 2,
                  .ffn = 16,
                  .seq = 8,
                  .vocab = 100};

const Model longer{.name = "longer",
                   .layers = 4,
                   .hidden = 64,
                   .heads = 4,
                   .kv_heads = 2,
                   .head_size = 16,
                   .ffn = 128,
                   .seq = 64,
                   .vocab = 256};

std::int64_t ranks() {
    return test::session().world()->size();
}

std::unique_ptr<Device> make_device() {
    return make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 3});
}

/// One communicator per group of `program`; all ranks have the same kinds of groups.
GroupCommunicators communicators_of(const StepProgram& program, Communicator& world) {
    GroupCommunicators groups;
    for (const Group& group : program.groups) {
        groups.push_back(world.split(static_cast<std::int32_t>(group.members.front().value()),
                                     static_cast<std::int32_t>(world.rank().value())));
    }
    return groups;
}

ReductionChecks run(Device& device, const StepProgram& program, int steps) {
    const auto world = test::session().world();
    const IssueOrder order(program);
    const GroupCommunicators groups = communicators_of(program, *world);
    Engine engine(order, device, groups, {.timeout = std::chrono::seconds{20}});
    for (int step = 0; step < steps; ++step) {
        (void)engine.run_step(Traffic::real, Tracing::on);
    }
    return engine.checks();
}

void expect_close(const std::vector<float>& found,
                  const std::vector<float>& expected,
                  const std::string& text) {
    float most = 0;
    float difference = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        most = std::max(most, std::abs(expected[i]));
        difference = std::max(difference, std::abs(found[i] - expected[i]));
    }
    EXPECT_GT(most, 0.0F) << text;
    EXPECT_LE(difference, 2e-5F * most) << text;
}

/// Each rank computes whole sequences by itself, then its part of them with the others.
TEST(ContextParallel, every_ranks_part_of_a_layer_is_that_of_whole_sequences) {
    const WorldRank rank{test::session().world()->rank().value()};
    for (const ContextExchange exchange : exchanges) {
        for (const ContextBalance balance : balances) {
            for (const Recompute recompute :
                 {Recompute::none, Recompute::selective, Recompute::full}) {
                Parts parts{.model = small,
                            .layout = {},
                            .batch = 2,
                            .exchange = exchange,
                            .balance = balance,
                            .recompute = recompute};
                LayerResult expected;
                LayerResult found;
                for (LayerResult* result : {&expected, &found}) {
                    const ContextLayer layer(parts, result == &expected ? WorldRank{0} : rank);
                    const auto device = make_device();
                    device->prepare(layer.program());
                    layer.fill(*device);
                    EXPECT_EQ(run(*device, layer.program(), 1).checked, 0) << "marks";
                    *result = expected;  // rows of other ranks
                    layer.collect(*device, *result);
                    parts.layout = {.cp = ranks()};
                }
                const std::string text = std::string(to_string(exchange)) + " " +
                                         std::string(to_string(balance)) + " recompute " +
                                         std::string(to_string(recompute));
                expect_close(found.output, expected.output, text);
                expect_close(found.grad_input, expected.grad_input, text);
            }
        }
    }
}

TEST(ContextParallel, moves_marked_keys_and_gradients_unchanged) {
    const WorldRank rank{test::session().world()->rank().value()};
    for (const ContextExchange exchange : exchanges) {
        for (const ContextBalance balance : balances) {
            const Layout layout{.cp = ranks()};
            const StepProgram program = build_step(longer,
                                                   layout,
                                                   {.global_batch = 2,
                                                    .recompute = Recompute::selective,
                                                    .context_exchange = exchange,
                                                    .context_balance = balance},
                                                   rank);
            const auto device = make_device();
            device->prepare(program);
            const ReductionChecks checks = run(*device, program, 2);
            EXPECT_GT(checks.checked, 0);
            EXPECT_EQ(checks.wrong, 0);
        }
    }
}

/// Every schedule, alone and beside tensor and pipeline parallelism, on the device that only waits.
TEST(ContextParallel, steps_end_with_every_schedule) {
    const WorldRank rank{test::session().world()->rank().value()};
    std::vector<Layout> layouts{{.cp = ranks()}};
    if (ranks() == 4) {
        layouts.insert(layouts.end(), {{.tp = 2, .cp = 2}, {.cp = 2, .dp = 2}, {.cp = 2, .pp = 2}});
    }
    for (const Layout& layout : layouts) {
        for (const Schedule schedule : {Schedule::gpipe,
                                        Schedule::one_f_one_b,
                                        Schedule::interleaved,
                                        Schedule::zero_bubble}) {
            for (const ContextExchange exchange : exchanges) {
                TrainingSetup setup{.global_batch = 4 * layout.dp,
                                    .schedule = schedule,
                                    .context_exchange = exchange};
                setup.virtual_stages = schedule == Schedule::interleaved ? 2 : 1;
                if (!problems_of(longer, layout, setup).empty()) {
                    EXPECT_EQ(layout.pp, 1) << to_string(layout);
                    continue;
                }
                const StepProgram program = build_step(longer, layout, setup, rank);
                const auto device = make_timed_device(
                    {.duration = [](const ComputeOp&) { return std::chrono::microseconds{5}; },
                     .name = "timed"});
                device->prepare(program);
                EXPECT_EQ(run(*device, program, 2).wrong, 0) << to_string(layout);
            }
        }
    }
}

}  // namespace
}  // namespace traindyno
