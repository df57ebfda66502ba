// SPDX-License-Identifier: Apache-2.0
// Element types, arithmetic and epilogues of GPU matrix products.
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class GemmType : std::uint8_t { fp32, bf16, fp16, e4m3, e5m2 };

/// How products are summed; the sum itself is fp32 in every mode.
enum class ComputeMode : std::uint8_t {
    fp32,
    tf32,      ///< fp32 operands are rounded to 10 mantissa bits
    fast_fp8,  ///< fp8 operands: partial sums stay in the tensor cores, which keep fewer bits than
               ///< fp32; good enough for the forward pass (Transformer Engine does the same)
};

/// What a product does with op(A) op(B) before it stores C[m,n]. The vector is `bias` of
/// GemmOperands, the matrix x[m,n] its `aux`. GELU is the tanh form.
enum class Epilogue : std::uint8_t {
    none,
    bias,           ///< C = AB + vector[n] on every row
    gelu_aux,       ///< x = AB, C = gelu(x)
    gelu_aux_bias,  ///< x = AB + vector[n], C = gelu(x)
    dgelu,          ///< C = AB * gelu'(x)
    dgelu_bgrad,    ///< the same, and vector[n] = the sum of C over its rows
    bgrad_a,        ///< C (+)= AB, and vector[m] = the sum of op(A) over k; never accumulated
};

template <>
struct EnumNames<GemmType> {
    static constexpr auto names = enum_table<GemmType>("fp32", "bf16", "fp16", "e4m3", "e5m2");
};

template <>
struct EnumNames<ComputeMode> {
    static constexpr auto names = enum_table<ComputeMode>("fp32", "tf32", "fast_fp8");
};

template <>
struct EnumNames<Epilogue> {
    static constexpr auto names = enum_table<Epilogue>(
        "none", "bias", "gelu_aux", "gelu_aux_bias", "dgelu", "dgelu_bgrad", "bgrad_a");
};

[[nodiscard]] constexpr std::int64_t element_size(GemmType type) {
    switch (type) {
        case GemmType::fp32:
            return 4;
        case GemmType::bf16:
        case GemmType::fp16:
            return 2;
        case GemmType::e4m3:
        case GemmType::e5m2:
            return 1;
    }
    return 0;
}

[[nodiscard]] constexpr bool is_fp8(GemmType type) {
    return type == GemmType::e4m3 || type == GemmType::e5m2;
}

[[nodiscard]] constexpr bool uses_aux(Epilogue epilogue) {
    return epilogue == Epilogue::gelu_aux || epilogue == Epilogue::gelu_aux_bias ||
           epilogue == Epilogue::dgelu || epilogue == Epilogue::dgelu_bgrad;
}

[[nodiscard]] constexpr bool uses_vector(Epilogue epilogue) {
    return epilogue == Epilogue::bias || epilogue == Epilogue::gelu_aux_bias ||
           epilogue == Epilogue::dgelu_bgrad || epilogue == Epilogue::bgrad_a;
}

}  // namespace traindyno
