// SPDX-License-Identifier: Apache-2.0
// A step in fp32 on a GPU leaves what the same step leaves on the CPU.
#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/gpu/require_gpu.hpp"
#include "tests/gpu/step/trainer.hpp"

namespace traindyno::test {
namespace {

struct AgreementCase {
    std::string name;
    Training training;
    Folding folding = Folding::never;

    friend void PrintTo(const AgreementCase& value, std::ostream* out) { *out << value.name; }
};

std::vector<AgreementCase> agreement_cases() {
    std::vector<AgreementCase> cases;
    for (const Model& model : {gpt(2), llama(2)}) {
        for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
            for (const std::int64_t micro_batches : {1, 3}) {
                for (const Folding folding : {Folding::never, Folding::always}) {
                    std::string name = model.name.substr(model.name.find('-') + 1);
                    name += "_" + std::string(to_string(recompute)) + "_" +
                            std::to_string(micro_batches) +
                            (folding == Folding::never ? "_apart" : "_folded");
                    cases.push_back({.name = name,
                                     .training = {.model = model,
                                                  .recompute = recompute,
                                                  .micro_batches = micro_batches},
                                     .folding = folding});
                }
            }
        }
    }
    return cases;
}

/// Length of the difference of two arrays over that of the second.
double distance(const std::vector<float>& a, const std::vector<float>& b, const Slice& slice) {
    double apart = 0;
    double length = 0;
    for (std::int64_t i = slice.offset; i < slice.offset + slice.elements; ++i) {
        const auto x = static_cast<double>(a[static_cast<std::size_t>(i)]);
        const auto y = static_cast<double>(b[static_cast<std::size_t>(i)]);
        apart += (x - y) * (x - y);
        length += y * y;
    }
    return std::sqrt(apart / length);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    return distance(a, b, {.offset = 0, .elements = static_cast<std::int64_t>(b.size())});
}

/// The rounding errors, 6e-8 each, of a sum of up to 1024 terms add up to some 2e-6 of it, those of
/// about 40 sums on the way through two layers and back to 1e-5. Ten times that for terms that
/// cancel. A folded GELU is made of tanh.approx.f32, whose relative error is up to 2^-11 (PTX ISA,
/// "tanh"); it comes twice per layer and again in its slope.
double tolerance_of(const AgreementCase& value) {
    return value.folding == Folding::never ? 1e-4 : 1e-4 + 4 * 0x1p-11;
}

class DevicesAgree : public testing::TestWithParam<AgreementCase> {
  protected:
    void SetUp() override { TD_REQUIRE_GPU(); }
};

/// Adam's step is rate m / (sqrt(v) + epsilon) = 1e-7 x 0.1 g / sqrt(0.05 g^2) at most.
constexpr double adam_step = 4.5e-8;

/// Where a gradient is nothing but rounding errors, even its sign is open.
void expect_equal_updates(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    constexpr double rounding = 4e-9;  // of a weight below 0.07, twice
    std::size_t apart = 0;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        largest = std::max(largest, difference);
        apart += difference > rounding + adam_step / 10 ? 1 : 0;
    }
    EXPECT_LE(largest, 2 * adam_step + rounding);
    EXPECT_LE(apart * 100, a.size());
}

void expect_equal_results(const Trainer& gpu,
                          const Trainer& cpu,
                          const Training& training,
                          double tolerance) {
    const std::vector<float> gradient = gpu.contents(Space::gradient);
    const std::vector<float> expected = cpu.contents(Space::gradient);
    for (const Tensor& tensor : tensors_of(training)) {
        EXPECT_LE(distance(gradient, expected, tensor.weights), tolerance) << tensor.name;
    }
    EXPECT_LE(distance(gpu.contents(Space::saved), cpu.contents(Space::saved)), tolerance);
    EXPECT_LE(distance(gpu.contents(Space::scalar), cpu.contents(Space::scalar)), tolerance);
}

TEST_P(DevicesAgree, on_contents_gradients_activations_and_weights) {
    const auto& [name, training, folding] = GetParam();
    const auto cpu = cpu_trainer(training);
    const auto gpu = gpu_trainer(training, StepLaunch::eager, folding);
    for (const Space space : {Space::parameter, Space::saved, Space::workspace}) {
        ASSERT_EQ(distance(gpu->contents(space), cpu->contents(space)), 0) << to_string(space);
    }
    const std::vector<float> start = cpu->contents(Space::parameter);
    (void)cpu->step();
    (void)gpu->step();
    expect_equal_results(*gpu, *cpu, training, tolerance_of(GetParam()));
    const std::vector<float> weights = cpu->contents(Space::parameter);
    EXPECT_GT(distance(weights, start), 0);
    if (folding == Folding::never) {
        expect_equal_updates(gpu->contents(Space::parameter), weights);
    }
}

/// The first rank sees only its own keys in contiguous parts, one in the middle some before and
/// some after its own in zigzag ones.
std::vector<AgreementCase> context_parallel_cases() {
    std::vector<AgreementCase> cases;
    const auto add = [&](const Model& model,
                         ContextExchange exchange,
                         ContextBalance balance,
                         std::int64_t cp,
                         std::int64_t rank) {
        std::string name = model.name.substr(model.name.find('-') + 1);
        name += exchange == ContextExchange::ring ? "_ring_" : "_gathered_";
        name += std::string(to_string(balance)) + "_rank_" + std::to_string(rank) + "_of_" +
                std::to_string(cp);
        cases.push_back({.name = name,
                         .training = {.model = model,
                                      .recompute = Recompute::selective,
                                      .layout = {.cp = cp},
                                      .rank = WorldRank{rank},
                                      .context_exchange = exchange,
                                      .context_balance = balance}});
    };
    for (const Model& model : {gpt(2), llama(2)}) {
        for (const auto& [cp, rank] : {std::pair{2, 0}, std::pair{4, 2}}) {
            add(model, ContextExchange::ring, ContextBalance::zigzag, cp, rank);
            add(model, ContextExchange::ring, ContextBalance::contiguous, cp, rank);
            add(model, ContextExchange::all_gather, ContextBalance::zigzag, cp, rank);
        }
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(ContextParallelSteps,
                         DevicesAgree,
                         testing::ValuesIn(context_parallel_cases()),
                         [](const auto& param) { return param.param.name; });

INSTANTIATE_TEST_SUITE_P(Steps,
                         DevicesAgree,
                         testing::ValuesIn(agreement_cases()),
                         [](const auto& param) { return param.param.name; });

TEST(EngineOnGpu, agrees_with_the_cpu) {
    TD_REQUIRE_GPU();
    const Training training{.model = gpt(2), .micro_batches = 2};
    const auto cpu = cpu_trainer(training);
    const auto gpu = gpu_trainer_of_engine(training);
    for (int i = 0; i < 3; ++i) {
        (void)cpu->step();
        const StepTrace trace = gpu->step(Tracing::on);
        EXPECT_EQ(trace.spans.size(), gpu->order().ops().size());
    }
    expect_equal_results(*gpu,
                         *cpu,
                         training,
                         tolerance_of({.name = "", .training = {}, .folding = Folding::timed}));
}

}  // namespace
}  // namespace traindyno::test
