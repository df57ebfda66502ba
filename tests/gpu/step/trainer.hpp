// SPDX-License-Identifier: Apache-2.0
// Steps of small models on one rank, alone or of several, on the CPU and on a GPU, from the same
// contents of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "emulator/device/cuda/cuda_device.hpp"
#include "emulator/engine/cuda/stream_runner_options.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno::test {

/// More than one tile of queries, and rows enough for fp8.
[[nodiscard]] Model gpt(std::int64_t layers);
[[nodiscard]] Model llama(std::int64_t layers);

struct Training {
    Model model;
    Precision precision = Precision::fp32;
    DType gradient_type = DType::fp32;
    Recompute recompute = Recompute::none;
    std::int64_t micro_batches = 1;
    MemoryMode memory = MemoryMode::faithful;
    Layout layout{};  ///< one rank of it runs here, without the traffic to the others
    WorldRank rank{0};
    ContextExchange context_exchange = ContextExchange::ring;
    ContextBalance context_balance = ContextBalance::zigzag;
};

[[nodiscard]] StepProgram program_of(const Training& training);

/// One weight array's place, and its gradient's.
struct Tensor {
    std::string name;
    Slice weights;
};

/// All of a faithful rank.
[[nodiscard]] std::vector<Tensor> tensors_of(const Training& training);

/// A prepared device and the runner of its steps.
class Trainer {
  public:
    Trainer(const Training& training, std::unique_ptr<Device> device);

    [[nodiscard]] StepTrace step(Tracing tracing = Tracing::off) {
        return runner_->run_step(program_.groups.empty() ? Traffic::real : Traffic::removed,
                                 tracing);
    }

    /// What `space` holds, as fp32.
    [[nodiscard]] std::vector<float> contents(Space space) const;
    /// Makes `space`, which must be stored in fp32, hold `values`.
    void restore(Space space, std::vector<float> values);

    [[nodiscard]] const IssueOrder& order() const { return order_; }

    [[nodiscard]] Device& device() const { return *device_; }

    void drive_by(std::unique_ptr<StepRunner> runner) { runner_ = std::move(runner); }

    /// None, for each group: nothing is communicated.
    [[nodiscard]] const GroupCommunicators& communicators() const { return communicators_; }

  private:
    StepProgram program_;
    IssueOrder order_;
    std::unique_ptr<Device> device_;
    GroupCommunicators communicators_;
    std::unique_ptr<StepRunner> runner_;
};

/// On the CPU, which has fp32 only here, driven by the engine.
[[nodiscard]] std::unique_ptr<Trainer> cpu_trainer(Training training);

/// On a GPU, driven by streams. Tuned products are kept in a file for the next trainer.
[[nodiscard]] std::unique_ptr<Trainer> gpu_trainer(const Training& training,
                                                   StepLaunch launch = StepLaunch::eager,
                                                   Folding folding = Folding::timed);

/// On a GPU, driven by the engine.
[[nodiscard]] std::unique_ptr<Trainer> gpu_trainer_of_engine(const Training& training);

}  // namespace traindyno::test
