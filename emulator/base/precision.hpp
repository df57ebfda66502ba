// SPDX-License-Identifier: Apache-2.0
// How a training step computes: the types its matrix products multiply and its tensors are kept in.
#pragma once

#include <cstdint>
#include <string>

#include "emulator/base/dtype.hpp"
#include "emulator/base/enum_names.hpp"

namespace traindyno {

/// Accumulation is in fp32 throughout; main gradients and Adam's state are fp32.
enum class Precision : std::uint8_t {
    fp32,
    tf32,  ///< fp32 tensors, products with 10 mantissa bits on tensor cores
    bf16,
    fp16,
    fp8,  ///< bf16 tensors, cast per tensor to E4M3 (gradients: E5M2) before each product of a
          ///< linear layer (Micikevicius et al., arXiv:2209.05433)
};

template <>
struct EnumNames<Precision> {
    static constexpr auto names = enum_table<Precision>("fp32", "tf32", "bf16", "fp16", "fp8");
};

/// Type of weights and activations in memory and on the wire.
[[nodiscard]] constexpr DType storage_type(Precision precision) {
    switch (precision) {
        case Precision::fp32:
        case Precision::tf32:
            return DType::fp32;
        case Precision::bf16:
        case Precision::fp8:
            return DType::bf16;
        case Precision::fp16:
            return DType::fp16;
    }
    return DType::fp32;
}

/// "bf16"; where products compute in another type than memory holds, "fp8 (bf16 tensors)".
[[nodiscard]] inline std::string described(Precision precision) {
    std::string text(to_string(precision));
    const std::string tensors(to_string(storage_type(precision)));
    if (text != tensors) {
        text += " (" + tensors + " tensors)";
    }
    return text;
}

}  // namespace traindyno
