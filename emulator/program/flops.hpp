// SPDX-License-Identifier: Apache-2.0
// FLOPs of a training step: the closed forms of the papers, and sums over built programs.
#pragma once

#include <cstdint>

#include "emulator/base/units.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class CausalAttention : std::uint8_t {
    full,
    half
};  ///< count the whole score square, or its lower half

/// Model FLOPs of forward and backward per token, no recomputation, unpadded vocabulary. For a GPT
/// shape with full attention this is Narayanan et al., SC'21, eq. 3 without its recompute factor:
/// 72 l h^2 (1 + s/(6h) + V/(12 l h)).
[[nodiscard]] Flops model_flops_per_token(const Model& model, CausalAttention attention);

/// Hardware FLOPs per token: model FLOPs plus what `recompute` runs again.
[[nodiscard]] Flops hardware_flops_per_token(const Model& model,
                                             Recompute recompute,
                                             CausalAttention attention);

/// 6 N D with the model's nominal parameter count (exact count when it has none; of the experts,
/// those that a token visits).
[[nodiscard]] Flops six_n_d(const Model& model, double tokens);

/// FLOPs the compute operations of one rank's program execute in `phase`.
[[nodiscard]] Flops executed_flops(const StepProgram& program, Phase phase);

}  // namespace traindyno
