// SPDX-License-Identifier: Apache-2.0
// How long an element-wise kernel takes on this GPU, before the model's memory exists.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "emulator/device/cuda/runtime.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

class KernelTimer {
  public:
    /// `storage`: type of activations and weights; `gradient`: of main gradients.
    KernelTimer(DType storage, DType gradient, int multiprocessors);

    /// Microseconds of one launch of `kind` on rows x columns, a kind with operands of that shape
    /// (bias_add, bias_gradient, gelu_*). Measured once per shape; waits for the device.
    [[nodiscard]] double microseconds(ElementwiseKind kind,
                                      std::int64_t rows,
                                      std::int64_t columns);

  private:
    [[nodiscard]] double measure(const Elementwise& op) const;

    DType storage_;
    DType gradient_;
    int multiprocessors_;
    CudaStream stream_;
    std::map<std::tuple<ElementwiseKind, std::int64_t, std::int64_t>, double> known_;
};

}  // namespace traindyno
