// SPDX-License-Identifier: Apache-2.0
// The flat arrays of a rank's memory spaces on a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/device.hpp"
#include "emulator/device/operand.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

class DeviceMemory {
  public:
    /// Allocates; the contents are undefined.
    explicit DeviceMemory(const StepProgram& program);

    /// Device memory of `slice` of `task`. ContractError when it leaves its space.
    [[nodiscard]] std::span<std::byte> at(const Slice& slice, const Task& task) const;
    [[nodiscard]] Operand operand(const Slice& slice, const Task& task) const;
    [[nodiscard]] Operand all(Space space) const;

    /// Device::copy; blocks on `stream`.
    void copy(CopyDirection direction,
              const Slice& slice,
              const Task& task,
              std::int64_t stride,
              std::span<std::byte> host,
              cudaStream_t stream) const;

  private:
    [[nodiscard]] DType dtype(Space space) const { return dtype_of(space, storage_, gradient_); }

    DType storage_;
    DType gradient_;
    std::array<DeviceBytes, enum_count<Space>> arrays_;
};

}  // namespace traindyno
