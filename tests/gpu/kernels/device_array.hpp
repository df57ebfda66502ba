// SPDX-License-Identifier: Apache-2.0
// Arrays in device memory whose surroundings tell when a kernel writes beyond them.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/operand.hpp"

namespace traindyno {

using Values = std::vector<double>;

/// Each value as `dtype` holds it.
[[nodiscard]] Values rounded(const Values& values, DType dtype);

/// Largest relative error of a value rounded to `dtype`.
[[nodiscard]] double rounding_unit(DType dtype);

/// Begins as NaNs. `offset` elements lie between an aligned address and its first element.
class DeviceArray {
  public:
    DeviceArray(std::int64_t elements, DType dtype, std::int64_t offset = 0);

    [[nodiscard]] Operand operand() const;

    void set(const Values& values);
    [[nodiscard]] Values values() const;

    /// Whether what lies before and behind is untouched.
    [[nodiscard]] bool is_confined() const;

  private:
    std::int64_t elements_;
    DType dtype_;
    std::int64_t offset_;
    DeviceBytes memory_;
};

}  // namespace traindyno
