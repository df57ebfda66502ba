// SPDX-License-Identifier: Apache-2.0
// The matrix products of a block that run in fp8, and the casts that this takes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "emulator/device/kernel_plan/fp8_tensor.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class CastTime : std::uint8_t {
    every_task,
    first_micro_batch,  ///< weights: once per step
};

enum class Amax : std::uint8_t {
    skipped,  ///< cast again: the first cast of the step has recorded it
    recorded,
};

/// Reads source[rows, columns] and writes it, its transpose, or both in one pass.
struct Fp8CastStep {
    std::uint32_t before = 0;  ///< operation of the block to whose time this counts
    Fp8Tensor tensor;
    Slice source;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::optional<Fp8Buffer> plain;
    std::optional<Fp8Buffer> transposed;
    CastTime time = CastTime::every_task;
    Amax amax = Amax::recorded;

    friend bool operator==(const Fp8CastStep&, const Fp8CastStep&) = default;
};

struct Fp8Operand {
    Fp8Tensor tensor;
    Fp8Buffer buffer;

    friend bool operator==(const Fp8Operand&, const Fp8Operand&) = default;
};

/// C[m,n] (+)= a[m,k] b[n,k]^T, k contiguous in both: the one layout that Hopper multiplies in fp8
/// ("TN", cuBLAS documentation, cublasLtMatmul). m, n, k and C are those of the MatMul.
struct Fp8Product {
    std::uint32_t op = 0;
    Fp8Operand a;
    Fp8Operand b;

    friend bool operator==(const Fp8Product&, const Fp8Product&) = default;
};

struct Fp8BlockPlan {
    std::vector<Fp8CastStep> casts;    ///< in the order in which they run
    std::vector<Fp8Product> products;  ///< the others keep the program's precision
    std::int64_t scratch_bytes = 0;

    friend bool operator==(const Fp8BlockPlan&, const Fp8BlockPlan&) = default;
};

/// Casts each tensor once, plain and transposed together, and reuses the copies while the tensor
/// does not change, as Transformer Engine does. What forward kept is not cast again in backward.
[[nodiscard]] Fp8BlockPlan plan_fp8_block(const Block& block, const Fp8Layer& layer);

}  // namespace traindyno
