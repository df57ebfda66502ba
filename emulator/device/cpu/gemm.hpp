// SPDX-License-Identifier: Apache-2.0
// One matrix product of a fixed shape through oneDNN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "emulator/base/dtype.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// C[m,n] (+)= op(A) op(B), row-major. A stride is the distance between stored rows, in elements.
struct GemmShape {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    Transpose transpose_a = Transpose::no;
    Transpose transpose_b = Transpose::no;
    Accumulate accumulate = Accumulate::no;
    std::int64_t stride_a = 0;
    std::int64_t stride_b = 0;
    std::int64_t stride_c = 0;
    DType type_a = DType::fp32;
    DType type_b = DType::fp32;
    DType type_c = DType::fp32;

    friend auto operator<=>(const GemmShape&, const GemmShape&) = default;
};

/// The shape of `op` on contiguous matrices when tensors are in `storage`, main gradients in
/// `gradient`.
[[nodiscard]] GemmShape shape_of(const MatMul& op, DType storage, DType gradient = DType::fp32);

/// Whether the processor multiplies bf16 matrices in hardware.
[[nodiscard]] bool has_bf16();

/// "oneDNN 2.6.3"
[[nodiscard]] std::string gemm_library();

/// A compiled matrix product. Compiled for as many threads as OpenMP would use where it is built;
/// run it from one thread at a time, with that many threads or inside a parallel region.
class Gemm {
  public:
    explicit Gemm(const GemmShape& shape);
    Gemm(Gemm&& other) noexcept;
    Gemm& operator=(Gemm&& other) noexcept;
    Gemm(const Gemm&) = delete;
    Gemm& operator=(const Gemm&) = delete;
    ~Gemm();

    void run(const void* a, const void* b, void* c);

    /// What oneDNN chose, such as "brg:avx512_core".
    [[nodiscard]] std::string implementation() const;

  private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;
};

}  // namespace traindyno
