// SPDX-License-Identifier: Apache-2.0
// Sequence parallelism and chunked products change who computes what, not what comes out: losses
// and gradients of whole steps on the cpu device.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/random_values.hpp"
#include "emulator/device/reduction_pattern.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/local_shape.hpp"
#include "emulator/program/parameter_map.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno {
namespace {

/// So small that no communicated buffer is long enough for marks, which replace values.
Model gpt() {
    return {.name = "gpt",
            .layers = 2,
            .hidden = 3,
            .heads = 4,
            .kv_heads = 4,
            .head_size = 2,
            .ffn = 8,
            .seq = 8,
            .vocab = 100,
            .tied_embeddings = false};  // the sum of a tied table's gradients is long
}

Model llama() {
    Model model = gpt();
    model.name = "llama";
    model.gated_mlp = true;
    model.norm = Norm::rmsnorm;
    model.positions = Positions::rotary;
    model.bias = LinearBias::none;
    return model;
}

/// Every token visits both experts: which ones it visits does not depend on who sends it.
Model mixture() {
    Model model = llama();
    model.name = "mixture";
    model.experts = model.top_k = 2;
    model.expert_ffn = 4;
    model.shared_experts = 1;
    model.dense_layers = 1;
    return model;
}

struct Result {
    float loss = 0;
    std::vector<float> gradients;
    std::int64_t checked = 0;  ///< marks: must be none
};

/// Random weights; those that all tensor-parallel ranks have are equal on them.
void fill_weights(std::span<float> weights, const ParameterMap& map, std::uint32_t tp_rank) {
    constexpr float deviation = 0.5F;
    const auto fill = [&](const Slice& slice, std::int64_t base, std::uint32_t seed) {
        for (std::int64_t i = base + slice.offset; i < base + slice.offset + slice.elements; ++i) {
            weights[static_cast<std::size_t>(i)] =
                normal_value(seed, static_cast<std::uint32_t>(i), deviation);
        }
    };
    fill({.space = Space::parameter, .offset = 0, .elements = map.elements}, 0, 100 + tp_rank);
    fill(map.final_norm, 0, 1);
    fill(map.positions, 0, 1);
    for (std::int64_t number = 0; number < map.layers; ++number) {
        const LayerParameters& layer = map.of(map.kind_of(number));
        for (const Slice& slice :
             {layer.norm1, layer.norm2, layer.projection_bias, layer.down_bias, layer.router}) {
            fill(slice, map.layer_base(number), 1);
        }
    }
}

std::span<float> floats(Device& device, Space space, std::int64_t elements) {
    const auto bytes = device.memory({.space = space, .offset = 0, .elements = elements}, {});
    return {reinterpret_cast<float*>(bytes.data()), static_cast<std::size_t>(elements)};
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

Result train(const Model& model, const Layout& layout, const TrainingSetup& setup) {
    const auto world = test::session().world();
    const WorldRank rank{world->rank().value()};
    const StepProgram program = build_step(model, layout, setup, rank);
    const auto device =
        make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 3});
    device->prepare(program);
    const Coordinates at = coordinates_of(layout, rank);
    const ParameterMap map = parameter_map(model,
                                           layout,
                                           local_shape(model, layout, setup, program.stage),
                                           program.stage,
                                           setup.memory,
                                           sharding_of(model, layout, setup));
    fill_weights(
        floats(*device, Space::parameter, map.elements), map, static_cast<std::uint32_t>(at.tp));
    const IssueOrder order(program);
    const GroupCommunicators groups = communicators_of(program, *world);
    Engine engine(order, *device, groups, {.timeout = std::chrono::seconds{20}});
    (void)engine.run_step(Traffic::real, Tracing::on);
    const std::span<float> gradients = floats(*device, Space::gradient, map.elements);
    return {.loss = floats(*device, Space::scalar, 1)[0],
            .gradients = {gradients.begin(), gradients.end()},
            .checked = engine.checks().checked};
}

float largest(const std::vector<float>& values) {
    float most = 0;
    for (const float value : values) {
        most = std::max(most, std::abs(value));
    }
    return most;
}

/// fp32 sums in another order.
void expect_same(const Result& found, const Result& wanted, const std::string& text) {
    EXPECT_EQ(found.checked, 0) << text;
    EXPECT_NEAR(found.loss, wanted.loss, 1e-5 * std::abs(wanted.loss)) << text;
    ASSERT_EQ(found.gradients.size(), wanted.gradients.size());
    const float tolerance = 1e-4F * largest(wanted.gradients);
    EXPECT_GT(tolerance, 0);
    std::int64_t different = 0;
    for (std::size_t i = 0; i < wanted.gradients.size(); ++i) {
        different += std::abs(found.gradients[i] - wanted.gradients[i]) <= tolerance ? 0 : 1;
    }
    EXPECT_EQ(different, 0) << text << ": of " << wanted.gradients.size();
}

/// All layouts of the job with tensor parallelism.
std::vector<Layout> layouts() {
    const std::int64_t ranks = test::session().world()->size();
    std::vector<Layout> list{{.tp = ranks}};
    if (ranks == 4) {
        list.push_back({.tp = 2, .pp = 2});
        list.push_back({.tp = 2, .dp = 2});
    }
    return list;
}

void expect_same_as_whole_tokens(const Model& model, const Layout& layout) {
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        // Buckets of 32 gradients, rows of few tokens: too short for marks.
        TrainingSetup setup{.micro_batch = model.experts > 0 ? 1 : 2,
                            .global_batch = 4 * layout.dp,
                            .recompute = recompute,
                            .bucket = Bytes{128}};
        const Result whole = train(model, layout, setup);
        const std::string text = model.name + " " + to_string(layout) + " recompute " +
                                 std::string(to_string(recompute));
        setup.sequence_parallel = SequenceParallel::on;
        expect_same(train(model, layout, setup), whole, text);
        setup.overlap_tp = Overlap::on;
        if (problems_of(model, layout, setup).empty()) {
            expect_same(train(model, layout, setup), whole, text + " in chunks");
        }
    }
}

TEST(SequenceParallel, gives_the_losses_and_gradients_of_whole_tokens_on_every_rank) {
    for (const Model& model : {gpt(), llama()}) {
        for (const Layout& layout : layouts()) {
            expect_same_as_whole_tokens(model, layout);
        }
    }
}

TEST(SequenceParallel, gives_those_of_whole_tokens_in_experts_of_one_rank_and_of_several) {
    for (Layout layout : layouts()) {
        expect_same_as_whole_tokens(mixture(), layout);
        if (layout.dp > 1) {
            layout.ep = layout.dp;
            expect_same_as_whole_tokens(mixture(), layout);
        }
    }
}

/// The same sizes as above carry marks once the buffers are longer.
TEST(SequenceParallel, moves_marked_values_unchanged) {
    Model model = gpt();
    model.hidden = 64;
    model.heads = model.kv_heads = 8;
    model.head_size = 8;
    model.ffn = 128;
    const auto world = test::session().world();
    const Layout layout{.tp = world->size()};
    for (const Overlap overlap : {Overlap::off, Overlap::on}) {
        const TrainingSetup setup{.micro_batch = 2,
                                  .global_batch = 4,
                                  .sequence_parallel = SequenceParallel::on,
                                  .overlap_tp = overlap};
        const StepProgram program =
            build_step(model, layout, setup, WorldRank{world->rank().value()});
        const auto device =
            make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 3});
        device->prepare(program);
        const IssueOrder order(program);
        const GroupCommunicators groups = communicators_of(program, *world);
        Engine engine(order, *device, groups, {.timeout = std::chrono::seconds{20}});
        for (int step = 0; step < 3; ++step) {
            (void)engine.run_step(Traffic::real, Tracing::on);
        }
        EXPECT_GT(engine.checks().checked, 0);
        EXPECT_EQ(engine.checks().wrong, 0);
    }
}

}  // namespace
}  // namespace traindyno
