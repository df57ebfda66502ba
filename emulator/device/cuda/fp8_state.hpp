// SPDX-License-Identifier: Apache-2.0
// The fp8 copies of a program's tensors on a GPU, and their scales.
#pragma once

#include <array>
#include <optional>
#include <unordered_map>
#include <vector>

#include "emulator/device/cuda/device_memory.hpp"
#include "emulator/device/cuda/fp8/fp8_scaling.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/kernel_plan/fp8_plan.hpp"

namespace traindyno {

class Fp8State {
  public:
    /// Where an operand of a product lies, and what cuBLASLt multiplies it by.
    struct Operand {
        const std::byte* data = nullptr;
        const float* inverse_scale = nullptr;
    };

    struct Operands {
        Operand a;
        Operand b;
    };

    /// Allocates what memory_items(plan) says. `program` and `plan` outlive this.
    Fp8State(const StepProgram& program, const Fp8Plan& plan, cudaStream_t stream);

    /// Casts what `op`, a product of `task`, reads.
    void cast_operands(const ComputeOp& op,
                       const Task& task,
                       const DeviceMemory& memory,
                       cudaStream_t stream) const;

    [[nodiscard]] Operands operands(const Fp8Product& product, const Task& task) const;

    /// Forgets what was cast so far.
    void reset_scales(cudaStream_t stream);

    /// Sets next step's scales from what was cast in this one.
    void update_scales(cudaStream_t stream) const { scaling_->update(stream); }

  private:
    [[nodiscard]] std::byte* at(const Fp8Buffer& buffer, const Task& task) const;
    [[nodiscard]] Operand operand(const Fp8Operand& operand, const Task& task) const;

    const Fp8Plan& plan_;
    std::unordered_map<const ComputeOp*, std::vector<const Fp8CastStep*>> casts_;
    std::array<DeviceBytes, 3> homes_;  ///< by Fp8Home
    std::optional<Fp8Scaling> scaling_;
};

}  // namespace traindyno
