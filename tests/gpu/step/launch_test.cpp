// SPDX-License-Identifier: Apache-2.0
// Steps launched operation by operation or as a graph: the same values, the same spans, nothing
// allocated on the way.
#include <bit>
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/program/memory.hpp"
#include "tests/gpu/require_gpu.hpp"
#include "tests/gpu/step/trainer.hpp"

namespace traindyno::test {
namespace {

std::size_t differences(const std::vector<float>& a,
                        const std::vector<float>& b,
                        const Slice& slice) {
    std::size_t count = 0;
    for (std::int64_t i = slice.offset; i < slice.offset + slice.elements; ++i) {
        const auto at = static_cast<std::size_t>(i);
        count += std::bit_cast<std::uint32_t>(a.at(at)) != std::bit_cast<std::uint32_t>(b.at(at));
    }
    return count;
}

double length(const std::vector<float>& values) {
    double squares = 0;
    for (const float value : values) {
        squares += static_cast<double>(value) * static_cast<double>(value);
    }
    return std::sqrt(squares);
}

std::size_t free_memory() {
    std::size_t free = 0;
    std::size_t total = 0;
    TD_CUDA(cudaMemGetInfo(&free, &total));
    return free;
}

/// What a step leaves.
struct Left {
    std::vector<float> gradient;
    std::vector<float> saved;
    std::vector<float> weights;
    std::size_t spans = 0;
};

/// Two steps from equal weights, of which the first always goes out operation by operation. Fixed
/// folds: which are faster may change from one preparation to the next.
Left second_step(const Training& training, StepLaunch launch, Tracing tracing) {
    const auto trainer = gpu_trainer(training, launch, Folding::always);
    const std::vector<float> start = trainer->contents(Space::parameter);
    (void)trainer->step();
    trainer->restore(Space::parameter, start);
    const StepTrace trace = trainer->step(tracing);
    return {.gradient = trainer->contents(Space::gradient),
            .saved = trainer->contents(Space::saved),
            .weights = trainer->contents(Space::parameter),
            .spans = trace.spans.size()};
}

class LaunchedSteps : public testing::Test {
  protected:
    void SetUp() override { TD_REQUIRE_GPU(); }
};

TEST_F(LaunchedSteps, leave_the_same_bits_as_a_graph_or_not_traced_or_not) {
    for (const Model& model : {gpt(2), llama(2)}) {
        const Training training{.model = model, .micro_batches = 2};
        const Left expected = second_step(training, StepLaunch::eager, Tracing::off);
        EXPECT_EQ(expected.spans, 0U);
        // Else its length, where the table's gradient has its part, would reach every other one.
        ASSERT_LT(length(expected.gradient), 0.9) << "the gradient was clipped";
        for (const auto& [launch, tracing] : {std::pair{StepLaunch::eager, Tracing::on},
                                              std::pair{StepLaunch::graph, Tracing::off},
                                              std::pair{StepLaunch::graph, Tracing::on}}) {
            const Left left = second_step(training, launch, tracing);
            EXPECT_EQ(left.spans,
                      tracing == Tracing::on ? IssueOrder(program_of(training)).ops().size() : 0U);
            const auto size = static_cast<std::int64_t>(expected.saved.size());
            EXPECT_EQ(differences(left.saved, expected.saved, {.offset = 0, .elements = size}), 0U);
            for (const Tensor& tensor : tensors_of(training)) {
                if (tensor.name == "table") {
                    continue;  // its gradient's additions come in any order (kernels.hpp)
                }
                const std::string what = model.name + " " + std::string(to_string(launch)) + " " +
                                         std::string(to_string(tracing)) + ": " + tensor.name;
                EXPECT_EQ(differences(left.gradient, expected.gradient, tensor.weights), 0U)
                    << what;
                EXPECT_EQ(differences(left.weights, expected.weights, tensor.weights), 0U) << what;
            }
        }
    }
}

TEST_F(LaunchedSteps, have_spans_in_order_within_the_step) {
    for (const StepLaunch launch : {StepLaunch::eager, StepLaunch::graph}) {
        const auto trainer = gpu_trainer(
            {.model = gpt(2), .precision = Precision::bf16, .micro_batches = 2}, launch);
        for (int i = 0; i < 3; ++i) {
            const StepTrace trace = trainer->step(Tracing::on);
            ASSERT_EQ(trace.spans.size(), trainer->order().ops().size());
            SimTime free_from = trace.begin;
            SimTime busy{0};
            for (const OpIndex index : trainer->order().lane(Lane::compute)) {
                const Span& span = trace.spans[index];
                EXPECT_GE(span.begin, free_from) << to_string(launch) << " operation " << index;
                EXPECT_GE(span.end, span.begin) << to_string(launch) << " operation " << index;
                busy += span.length();
                free_from = span.end;
            }
            EXPECT_LE(free_from, trace.end) << to_string(launch);
            EXPECT_GT(busy, SimTime{0});
        }
    }
}

struct MemoryCase {
    std::string name;
    StepLaunch launch = StepLaunch::eager;
    Precision precision = Precision::bf16;

    friend void PrintTo(const MemoryCase& value, std::ostream* out) { *out << value.name; }
};

class WarmSteps : public testing::TestWithParam<MemoryCase> {
  protected:
    void SetUp() override { TD_REQUIRE_GPU(); }
};

TEST_P(WarmSteps, take_no_memory) {
    const auto trainer =
        gpu_trainer({.model = gpt(2), .precision = GetParam().precision}, GetParam().launch);
    for (const Tracing tracing : {Tracing::off, Tracing::on, Tracing::off, Tracing::on}) {
        (void)trainer->step(tracing);
    }
    const std::size_t before = free_memory();
    for (int i = 0; i < 10; ++i) {
        (void)trainer->step(i % 2 == 0 ? Tracing::on : Tracing::off);
    }
    EXPECT_EQ(free_memory(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Launched,
    WarmSteps,
    testing::Values(MemoryCase{"eager_bf16", StepLaunch::eager, Precision::bf16},
                    MemoryCase{"graph_bf16", StepLaunch::graph, Precision::bf16},
                    MemoryCase{"eager_fp8", StepLaunch::eager, Precision::fp8},
                    MemoryCase{"graph_fp8", StepLaunch::graph, Precision::fp8},
                    MemoryCase{"eager_fp32", StepLaunch::eager, Precision::fp32}),
    [](const auto& param) { return param.param.name; });

TEST_F(LaunchedSteps, of_48_aliased_layers_fit_where_two_do) {
    const Training training{
        .model = gpt(48), .precision = Precision::bf16, .memory = MemoryMode::aliased};
    Training two = training;
    two.model.layers = 2;
    EXPECT_EQ(memory_items(program_of(training)), memory_items(program_of(two)));
    for (const StepLaunch launch : {StepLaunch::eager, StepLaunch::graph}) {
        const auto trainer = gpu_trainer(training, launch);
        for (int i = 0; i < 3; ++i) {
            const StepTrace trace = trainer->step(Tracing::on);
            EXPECT_EQ(trace.spans.size(), trainer->order().ops().size());
        }
    }
}

}  // namespace
}  // namespace traindyno::test
