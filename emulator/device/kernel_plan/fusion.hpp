// SPDX-License-Identifier: Apache-2.0
// Which operations of a block one kernel can run together: a matrix product and what cuBLASLt can
// do in the same pass.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/device/kernel_plan/interval_set.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// What a matrix product C = AB takes over from the operations after it.
enum class Fold : std::uint8_t {
    none,
    bias,                         ///< D = C + bias
    bias_gelu,                    ///< auxiliary = C + bias, D = gelu(auxiliary)
    gelu_backward,                ///< D = C gelu'(auxiliary); C itself is not stored
    gelu_backward_bias_gradient,  ///< and bias += column sums of D
    bias_gradient,                ///< bias += row sums of op(A); D = C
};

template <>
struct EnumNames<Fold> {
    static constexpr auto names = enum_table<Fold>("none",
                                                   "bias",
                                                   "bias_gelu",
                                                   "gelu_backward",
                                                   "gelu_backward_bias_gradient",
                                                   "bias_gradient");
};

/// One launch. cuBLASLt stores a bias gradient and does not add to it (cublasLt.h, epilogues
/// BGRAD*): whoever runs the step adds a scratch vector to `bias`, which accumulates.
struct KernelStep {
    std::vector<std::uint32_t>
        ops;  ///< of the block, ascending; the step runs when the first is due
    Fold fold = Fold::none;
    Slice output;     ///< D of a matrix product
    Slice bias;       ///< bias, or its gradient
    Slice auxiliary;  ///< values before GELU: written by bias_gelu, read by gelu_backward

    friend bool operator==(const KernelStep&, const KernelStep&) = default;
};

struct BlockPlan {
    std::vector<KernelStep> steps;  ///< compute operations in the order in which they run
    std::vector<std::optional<std::uint32_t>> step_of;  ///< by operation; none for communication

    friend bool operator==(const BlockPlan&, const BlockPlan&) = default;
};

/// A fold that the data flow permits.
struct FoldCandidate {
    const Block* block = nullptr;
    std::uint32_t op = 0;  ///< the matrix product
    const MatMul* product = nullptr;
    Fold fold = Fold::none;
    const KernelStep* step = nullptr;  ///< what would be launched
};

/// Whether to fold. Asked for each product from the longest fold down, until one is taken.
using FoldChoice = std::function<bool(const FoldCandidate&)>;

/// `live_after`: workspace that is read after the block (live_workspace). Every other space is.
[[nodiscard]] BlockPlan plan_block(const Block& block,
                                   const IntervalSet& live_after,
                                   const FoldChoice& choice);

/// The plan of each block of `program`.
[[nodiscard]] std::vector<BlockPlan> plan_blocks(const StepProgram& program,
                                                 const FoldChoice& choice);

}  // namespace traindyno
