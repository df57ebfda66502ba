// SPDX-License-Identifier: Apache-2.0
// Which attentions of a program have operands that fused kernels cannot read.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "emulator/device/attention_shape.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

inline constexpr std::int64_t fused_alignment = 16;  ///< bytes: a thread's longest load

/// Of an attention; empty for another operation.
[[nodiscard]] std::optional<AttentionShape> attention_shape(const ComputeOp& op);

/// Shapes that some operation has with an operand that does not begin at a multiple of
/// fused_alignment: a part of the statistics, say, of a sequence cut at odd places. Spaces
/// themselves are aligned.
[[nodiscard]] std::set<AttentionShape> unaligned_attentions(const StepProgram& program);

}  // namespace traindyno
