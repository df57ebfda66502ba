// SPDX-License-Identifier: Apache-2.0
// One transformer layer on ranks that have parts of the sequences: what goes in and what comes out,
// by token.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/device/device.hpp"
#include "emulator/program/build.hpp"

namespace traindyno::test {

/// How sequences are cut, and of which model. Weights are the same on all ranks: tp is 1.
struct Parts {
    Model model;
    Layout layout;
    std::int64_t batch = 1;
    ContextExchange exchange = ContextExchange::ring;
    ContextBalance balance = ContextBalance::zigzag;
    Recompute recompute = Recompute::none;
};

/// What a layer leaves behind, by token and by parameter.
struct LayerResult {
    std::vector<float> output;
    std::vector<float> grad_input;
    std::vector<float> gradients;  ///< summed over ranks
};

/// Of one rank: the one layer of a step and nothing else, a forward and a backward in fp32. Devices
/// have host memory.
class ContextLayer {
  public:
    ContextLayer(const Parts& parts, WorldRank rank);

    [[nodiscard]] const StepProgram& program() const { return program_; }

    /// The same weights on all ranks; inputs and output gradients by token.
    void fill(Device& device) const;
    /// Writes this rank's rows and adds its gradients.
    void collect(Device& device, LayerResult& result) const;

  private:
    template <class Visit>
    void for_each_value(Device& device, const Slice& slice, const Visit& visit) const;
    [[nodiscard]] std::int64_t token_of(std::int64_t row) const;

    Parts parts_;
    std::int64_t position_;  ///< in the context-parallel group
    StepProgram program_;
    Slice input_;
    Slice output_;
    Slice grad_output_;
    Slice grad_input_;
};

}  // namespace traindyno::test
