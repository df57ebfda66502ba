// SPDX-License-Identifier: Apache-2.0
// Steps of sharded programs run to their end over MPI, and what they exchange is right.
#include <chrono>
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

namespace traindyno {
namespace {

const Model dense{.name = "tiny",
                  .layers = 4,
                  .hidden = 64,
                  .heads = 4,
                  .kv_heads = 4,
                  .head_size = 16,
                  .ffn = 256,
                  .seq = 16,
                  .vocab = 256};

Model mixture() {
    Model model = dense;
    model.name = "tiny-mixture";
    model.gated_mlp = true;
    model.bias = LinearBias::none;
    model.experts = 4;
    model.top_k = 2;
    model.expert_ffn = 64;
    model.dense_layers = 1;
    return model;
}

struct Job {
    Model model;
    Layout layout;
};

/// Replicas that share state, and with an even number of ranks also two stages.
std::vector<Job> jobs(std::int64_t ranks) {
    std::vector<Job> list{{dense, {.dp = ranks}}};
    if (ranks % 4 == 0) {
        list.push_back({dense, {.dp = ranks, .shard = ranks / 2}});
        list.push_back({dense, {.dp = ranks / 2, .pp = 2}});
    }
    return list;
}

std::vector<TrainingSetup> setups(const Model& model, const Layout& layout) {
    std::vector<TrainingSetup> list;
    for (const Zero zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
        for (const Overlap overlap : {Overlap::on, Overlap::off}) {
            for (const GradientReduction reduction :
                 {GradientReduction::last_micro_batch, GradientReduction::every_micro_batch}) {
                const TrainingSetup setup{.global_batch = 2 * layout.dp,
                                          .bucket = Bytes{200'000},
                                          .overlap_gradients = overlap,
                                          .zero = zero,
                                          .overlap_parameters = overlap,
                                          .gradient_reduction = reduction};
                if (problems_of(model, layout, setup).empty()) {
                    list.push_back(setup);
                }
            }
        }
    }
    return list;
}

std::string text_of(const Job& job, const TrainingSetup& setup) {
    return job.model.name + " " + to_string(job.layout) + " zero " +
           std::string(to_string(setup.zero)) + " overlap " +
           std::string(to_string(setup.overlap_gradients)) + " reduced " +
           std::string(to_string(setup.gradient_reduction));
}

/// Communicators of the groups of `program`; all ranks have groups of the same kinds here.
GroupCommunicators groups_of(const StepProgram& program, Communicator& world) {
    GroupCommunicators groups;
    for (const Group& group : program.groups) {
        groups.push_back(world.split(static_cast<std::int32_t>(group.members.front().value()),
                                     static_cast<std::int32_t>(world.rank().value())));
    }
    return groups;
}

void run_steps(Device& device, const Job& job, const TrainingSetup& setup) {
    const auto world = test::session().world();
    const StepProgram program =
        build_step(job.model, job.layout, setup, WorldRank{world->rank().value()});
    device.prepare(program);
    const IssueOrder order(program);
    const GroupCommunicators groups = groups_of(program, *world);
    Engine engine(
        order, device, groups, {.timeout = std::chrono::seconds{20}, .waiting = Waiting::sleep});
    for (int step = 0; step < 2; ++step) {
        (void)engine.run_step(Traffic::real, Tracing::on);
    }
    EXPECT_EQ(engine.checks().wrong, 0) << text_of(job, setup);
    EXPECT_EQ(engine.checks().checked > 0, world->size() > 1) << text_of(job, setup);
}

template <class MakeDevice>
void run_all(const std::vector<Job>& list, const MakeDevice& make) {
    for (const Job& job : list) {
        for (const TrainingSetup& setup : setups(job.model, job.layout)) {
            const std::unique_ptr<Device> device = make();
            run_steps(*device, job, setup);
        }
    }
}

std::unique_ptr<Device> one_core() {
    return make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 1});
}

TEST(ShardedSteps, end_with_right_values_on_timed_devices) {
    run_all(jobs(test::session().world()->size()), [] {
        return make_timed_device(
            {.duration = [](const ComputeOp&) { return std::chrono::microseconds{5}; },
             .name = "timed"});
    });
}

TEST(ShardedSteps, end_with_right_values_on_cpus) {
    run_all(jobs(test::session().world()->size()), one_core);
}

/// Of which fewer ranks share the state than share all else; with two ranks none.
TEST(ShardedSteps, of_experts_end_with_right_values) {
    const std::int64_t ranks = test::session().world()->size();
    if (ranks % 2 != 0) {
        GTEST_SKIP() << "two ranks share experts";
    }
    run_all({{mixture(), {.ep = 2, .dp = ranks}}}, one_core);
}

}  // namespace
}  // namespace traindyno
