// SPDX-License-Identifier: Apache-2.0
// What a GPU matrix product is known by: everything that its fastest algorithm depends on.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "emulator/base/precision.hpp"
#include "emulator/device/gemm_plans/gemm_types.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// C[m,n] (+)= op(A) op(B) on contiguous row-major matrices, as MatMul.
struct GemmKey {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    Transpose transpose_a = Transpose::no;
    Transpose transpose_b = Transpose::no;
    Accumulate accumulate = Accumulate::no;
    GemmType type_a = GemmType::bf16;
    GemmType type_b = GemmType::bf16;
    GemmType type_c = GemmType::bf16;
    ComputeMode compute = ComputeMode::fp32;
    Epilogue epilogue = Epilogue::none;
    std::int32_t reserved_sms = 0;  ///< multiprocessors left to communication
    std::int32_t alignment = 256;   ///< bytes; every pointer is a multiple of it

    friend auto operator<=>(const GemmKey&, const GemmKey&) = default;
};

/// The product of `op` without epilogue, with main gradients in `gradient`. Precision::fp8 gives
/// the bf16 product: who casts the operands also sets their types.
[[nodiscard]] GemmKey key_of(const MatMul& op, Precision precision, DType gradient = DType::fp32);

/// The rule of ours or of cuBLASLt that `key` breaks ("fp8 needs ..."); nothing when it can run.
[[nodiscard]] std::optional<std::string> broken_rule(const GemmKey& key);

/// "m=2048 n=49152 k=12288 a=bf16 b=bf16^T c=bf16 compute=fp32 epilogue=bias reserved_sms=0
/// alignment=256"; "c+=fp32" accumulates.
[[nodiscard]] std::string to_text(const GemmKey& key);
[[nodiscard]] std::optional<GemmKey> parse_gemm_key(std::string_view text);

/// Of the epilogue's vector: C's type, but bf16 beside fp8 operands.
[[nodiscard]] GemmType vector_type(const GemmKey& key);
/// Of the epilogue's vector: n, or m for bgrad_a.
[[nodiscard]] std::int64_t vector_elements(const GemmKey& key);
/// GemmKey::alignment for these operands: the largest power of two up to 256 that divides all.
[[nodiscard]] std::int32_t alignment_of(std::initializer_list<const void*> pointers);
/// The same for an operand that lies `bytes` behind an address with the largest alignment.
[[nodiscard]] std::int32_t alignment_at(std::int64_t bytes);

}  // namespace traindyno
