// SPDX-License-Identifier: Apache-2.0
// Whole steps of built programs on the cpu device: the gradient it computes is the slope of its
// loss.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/program/build.hpp"

namespace traindyno {
namespace {

Model gpt() {
    return {.name = "gpt",
            .layers = 2,
            .hidden = 64,
            .heads = 4,
            .kv_heads = 4,
            .head_size = 16,
            .ffn = 256,
            .seq = 160,  // more than one query block
            .vocab = 100};
}

Model llama() {
    Model model = gpt();
    model.name = "llama";
    model.kv_heads = 2;
    model.gated_mlp = true;
    model.tied_embeddings = false;
    model.norm = Norm::rmsnorm;
    model.positions = Positions::rotary;
    model.bias = LinearBias::none;
    return model;
}

/// One layer with an MLP, one with experts.
Model mixture() {
    Model model = llama();
    model.name = "mixture";
    model.experts = 8;
    model.top_k = 2;
    model.expert_ffn = 96;
    model.shared_experts = 1;
    model.dense_layers = 1;
    return model;
}

/// One rank's program on a cpu device; communication-free layouts only.
class Trainer {
  public:
    Trainer(const Model& model, const TrainingSetup& setup)
        : program_(build_step(model, Layout{}, setup, WorldRank{0})),
          device_(make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 3})) {
        device_->prepare(program_);
    }

    /// Runs one step; returns the loss of its last micro-batch.
    float step() {
        for (const Task& task : program_.tasks) {
            for (const BlockOp& op : program_.blocks[task.block.index()].ops) {
                submitted_ = device_->submit(std::get<ComputeOp>(op.op), task) + 1;
            }
        }
        const SimTime give_up = now() + std::chrono::seconds{60};
        while (device_->completed() < submitted_) {
            TD_EXPECT(now() < give_up);
            device_->wait(submitted_ - 1, give_up);
        }
        return scalar("cross_entropy");
    }

    [[nodiscard]] std::span<float> all(Space space) {
        const std::int64_t elements = extent_of(program_.extents, space);
        const auto bytes = device_->memory({.space = space, .offset = 0, .elements = elements}, {});
        return {reinterpret_cast<float*>(bytes.data()), static_cast<std::size_t>(elements)};
    }

    /// Length of the gradient before it was clipped.
    [[nodiscard]] double gradient_norm() {
        return std::sqrt(static_cast<double>(scalar("sum_of_squares")));
    }

    [[nodiscard]] const StepProgram& program() const { return program_; }

  private:
    /// The value that the operation of kind `name` writes last.
    [[nodiscard]] float scalar(const std::string& name) {
        for (const Block& block : program_.blocks) {
            for (const BlockOp& op : block.ops) {
                const auto* elementwise = std::get_if<Elementwise>(&std::get<ComputeOp>(op.op));
                if (elementwise != nullptr && to_string(elementwise->kind) == name) {
                    return all(
                        Space::scalar)[static_cast<std::size_t>(elementwise->writes.back().offset)];
                }
            }
        }
        throw ContractError(name, Where::here());
    }

    StepProgram program_;
    std::unique_ptr<Device> device_;
    Ticket submitted_ = 0;
};

struct StepCase {
    std::string name;
    Model model;
    Recompute recompute = Recompute::none;

    friend void PrintTo(const StepCase& value, std::ostream* out) { *out << value.name; }
};

class TrainingStep : public testing::TestWithParam<StepCase> {
  protected:
    [[nodiscard]] static TrainingSetup setup(std::int64_t micro_batches) {
        return {
            .micro_batch = 2, .global_batch = 2 * micro_batches, .recompute = GetParam().recompute};
    }
};

TEST_P(TrainingStep, gradient_is_the_slope_of_the_loss) {
    Trainer trainer(GetParam().model, setup(1));
    const std::span<float> weights = trainer.all(Space::parameter);
    std::vector<float> start(weights.begin(), weights.end());
    for (float& weight : start) {
        weight *= 8;  // random weights of deviation 0.02 let little through: tiny gradients
    }
    const auto loss_at = [&](double distance, const std::vector<double>& direction) {
        for (std::size_t i = 0; i < start.size(); ++i) {
            weights[i] = start[i] + static_cast<float>(distance * direction[i]);
        }
        return static_cast<double>(trainer.step());
    };
    (void)loss_at(0, std::vector<double>(start.size()));
    const std::span<float> clipped = trainer.all(Space::gradient);
    const double factor = std::max(trainer.gradient_norm(), 1.0);
    std::vector<double> gradient;
    std::vector<double> signs;
    for (const float value : clipped) {
        gradient.push_back(factor * static_cast<double>(value));
        signs.push_back(value > 0 ? 1.0 : -1.0);
    }
    // Along the gradient the large values count, along its signs all of them.
    for (const std::vector<double>& direction : {gradient, signs}) {
        const double expected =
            std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
        const auto slope = [&](double step) {
            return (loss_at(step, direction) - loss_at(-step, direction)) / (2 * step);
        };
        const double step = 0.004 / expected;  // changes the loss by 0.004 either way
        const double extrapolated = (4 * slope(step / 2) - slope(step)) / 3;
        EXPECT_NEAR(extrapolated / expected, 1, 0.005);
    }
}

TEST_P(TrainingStep, small_random_weights_guess_uniformly) {
    Trainer trainer(GetParam().model, setup(1));
    const auto vocab = static_cast<double>(padded_vocab(GetParam().model, Layout{}));
    EXPECT_NEAR(static_cast<double>(trainer.step()), std::log(vocab), 0.1);
}

TEST_P(TrainingStep, repeats_itself_and_stays_finite) {
    Trainer trainer(GetParam().model, setup(2));
    const double first = static_cast<double>(trainer.step());
    double last = first;
    for (int i = 0; i < 20; ++i) {
        last = static_cast<double>(trainer.step());
    }
    EXPECT_NEAR(last, first, 1e-3);  // the learning rate is far too small to learn anything
    for (const Space space : {Space::parameter, Space::gradient, Space::saved, Space::scalar}) {
        for (const float value : trainer.all(space)) {
            ASSERT_TRUE(std::isfinite(value));
        }
    }
}

TEST_P(TrainingStep, a_step_of_equal_micro_batches_moves_every_weight_array) {
    Trainer trainer(GetParam().model, setup(2));
    (void)trainer.step();
    std::int64_t zeros = 0;
    for (const float value : trainer.all(Space::gradient)) {
        zeros += value == 0.0F ? 1 : 0;
    }
    // Only rows of tokens that were not drawn stay zero; output tables have none.
    EXPECT_LT(zeros * 2, trainer.program().extents.parameter);
}

TEST_P(TrainingStep, deferred_weight_gradients_are_those_of_an_undivided_backward) {
    if (GetParam().recompute != Recompute::none) {
        return;  // does not go with the schedule
    }
    TrainingSetup setup{.micro_batch = 1, .global_batch = 3};
    Trainer undivided(GetParam().model, setup);
    setup.schedule = Schedule::zero_bubble;
    Trainer deferred(GetParam().model, setup);
    EXPECT_EQ(undivided.step(), deferred.step());
    const std::span<float> wanted = undivided.all(Space::gradient);
    const std::span<float> found = deferred.all(Space::gradient);
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), found.begin(), found.end()));
}

INSTANTIATE_TEST_SUITE_P(Models,
                         TrainingStep,
                         testing::Values(StepCase{"gpt", gpt()},
                                         StepCase{"gpt_selective", gpt(), Recompute::selective},
                                         StepCase{"gpt_full", gpt(), Recompute::full},
                                         StepCase{"llama", llama()},
                                         StepCase{"llama_full", llama(), Recompute::full},
                                         StepCase{"mixture", mixture()},
                                         StepCase{"mixture_full", mixture(), Recompute::full}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace traindyno
