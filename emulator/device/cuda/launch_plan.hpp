// SPDX-License-Identifier: Apache-2.0
// How each compute operation of a program is launched on a GPU.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "emulator/device/cuda/cuda_options.hpp"
#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "emulator/device/kernel_plan/fp8_plan.hpp"
#include "emulator/device/kernel_plan/fusion.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// A matrix product with what it takes over from the operations after it.
struct ProductLaunch {
    GemmPlan* plan = nullptr;
    KernelStep step;
    const Fp8Product* fp8 = nullptr;  ///< its operands, where it multiplies in fp8
    /// Adds the bias gradient that the product stored in scratch; no reads and writes where it
    /// stores none.
    Elementwise add_bias_gradient;
};

/// Operations are known by their address in the program, which outlives the plan.
class LaunchPlan {
  public:
    /// Tunes every product, and decides by timing which take over their neighbours. Needs memory
    /// for the largest product's operands; waits for the device. `fp8` is null in other precisions
    /// and outlives the plan.
    LaunchPlan(const StepProgram& program,
               const Fp8Plan* fp8,
               const CudaOptions& options,
               GemmLibrary& gemms);

    [[nodiscard]] const ProductLaunch& product(const ComputeOp& op) const {
        return products_.at(&op);
    }

    /// Whether the operation before it does the work of `op`.
    [[nodiscard]] bool is_folded(const ComputeOp& op) const { return folded_.contains(&op); }

    /// Elements of the longest bias gradient that a product stores before it is added.
    [[nodiscard]] std::int64_t bias_gradient_elements() const { return bias_gradient_elements_; }

    [[nodiscard]] const std::unordered_map<const ComputeOp*, ProductLaunch>& products() const {
        return products_;
    }

  private:
    std::unordered_map<const ComputeOp*, ProductLaunch> products_;
    std::unordered_set<const ComputeOp*> folded_;
    std::int64_t bias_gradient_elements_ = 0;
};

}  // namespace traindyno
