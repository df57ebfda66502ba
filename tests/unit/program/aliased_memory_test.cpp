// SPDX-License-Identifier: Apache-2.0
// Aliased memory: the step of all layers in the memory of one.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/program/flops.hpp"
#include "emulator/program/parameter_map.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {

namespace {

/// FLOPs, memory traffic and number of the compute operations that a program runs.
struct Work {
    double flops = 0;
    std::int64_t bytes = 0;
    std::map<std::string, std::int64_t> runs_of_block;

    friend bool operator==(const Work&, const Work&) = default;
};

Work work_of(const StepProgram& program) {
    Work work;
    for (const Task& task : program.tasks) {
        const Block& block = program.blocks[task.block.index()];
        ++work.runs_of_block[block.name];
        for (const BlockOp& op : block.ops) {
            if (const auto* compute = std::get_if<ComputeOp>(&op.op)) {
                work.flops += flops(*compute).value();
                work.bytes += traffic(*compute, storage_type(program.precision)).value();
            }
        }
    }
    return work;
}

Case aliased(Case point) {
    point.setup.memory = MemoryMode::aliased;
    return point;
}

StepProgram program_of(const Case& point, std::int64_t rank) {
    return build_step(point.model, point.layout, point.setup, WorldRank{rank});
}

TEST(AliasedMemory, changes_neither_the_work_nor_the_traffic_of_a_step) {
    for (const Case& point : grid(4, {1, 3})) {
        SCOPED_TRACE(point.text());
        for (std::int64_t rank = 0; rank < point.layout.ranks(); ++rank) {
            const StepProgram faithful = program_of(point, rank);
            const StepProgram shared = program_of(aliased(point), rank);
            Work expected = work_of(faithful);
            // The gradient norm, 4 bytes, is added to (read and written) and read once more for
            // each layer whose gradients are a piece of their own.
            expected.bytes += (point.model.layers / point.layout.pp - 1) * 12;
            EXPECT_EQ(work_of(shared), expected);
            EXPECT_EQ(counted_volumes(shared), counted_volumes(faithful));
        }
        if (HasFailure()) {
            return;
        }
    }
}

TEST(AliasedMemory, gives_programs_that_fit_together) {
    for (const Case& point : grid(4, {1, 3})) {
        const Case shared = aliased(point);
        const auto problems = verify(build_all(shared.model, shared.layout, shared.setup));
        EXPECT_TRUE(problems.empty()) << shared.text() << ": " << problems.front();
        if (HasFailure()) {
            return;
        }
    }
}

TEST(AliasedMemory, needs_the_parameters_of_one_layer) {
    const Model model = small_gpt(6);
    const Layout layout;
    TrainingSetup setup = setup_of(layout, 1);
    const Extents faithful = build_step(model, layout, setup, WorldRank{0}).extents;
    setup.memory = MemoryMode::aliased;
    const Extents shared = build_step(model, layout, setup, WorldRank{0}).extents;
    // h^2 (3 + 1 + 4 + 4) weights, 3h + h + 4h + h biases, two norms of 2h.
    const std::int64_t layer = 12 * model.hidden * model.hidden + 13 * model.hidden;
    EXPECT_EQ(faithful.parameter - shared.parameter, 5 * layer);
    EXPECT_EQ(faithful.workspace, shared.workspace);
    EXPECT_LT(shared.saved, faithful.saved / 2);
    // The memory no longer depends on the number of layers.
    EXPECT_EQ(build_step(small_gpt(60), layout, setup, WorldRank{0}).extents, shared);
}

TEST(AliasedMemory, keeps_buckets_on_the_wire_apart_from_what_backward_writes) {
    const Layout layout{.dp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.memory = MemoryMode::aliased;
    setup.bucket = Bytes{4096};
    const StepProgram program = build_step(small_gpt(4), layout, setup, WorldRank{0});
    std::int64_t buckets = 0;
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks[task.block.index()].ops) {
            const auto* comm = std::get_if<CommOp>(&op.op);
            if (comm == nullptr || op.lane != Lane::dp) {
                continue;
            }
            const Slice& bucket = std::get<Collective>(*comm).output;
            const std::int64_t begin = task.base_of(bucket.space) + bucket.offset;
            EXPECT_EQ(begin, program.extents.gradient.value() - 1024);
            EXPECT_LE(bucket.elements, 1024);
            ++buckets;
        }
    }
    EXPECT_GT(buckets, 4 * 12 * 64 * 64 / 1024);  // at least the layers' weights
}

}  // namespace

}  // namespace traindyno
