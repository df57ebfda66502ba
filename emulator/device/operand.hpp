// SPDX-License-Identifier: Apache-2.0
// What kernels work on: arrays in the memory of the device that runs them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/base/dtype.hpp"

namespace traindyno {

/// A slice resolved to memory.
struct Operand {
    std::byte* data = nullptr;
    std::int64_t elements = 0;
    DType dtype = DType::fp32;

    template <class T>
    [[nodiscard]] T* as() const {
        return reinterpret_cast<T*>(data);
    }
};

/// Adam's arrays from the first element to update.
struct AdamArrays {
    Operand weight;    ///< out, in the compute precision
    Operand gradient;  ///< fp32, or bf16 where the device has it
    float* master = nullptr;
    float* m = nullptr;
    float* v = nullptr;
};

}  // namespace traindyno
