// SPDX-License-Identifier: Apache-2.0
// Gradients of weights that every tensor-parallel rank has whole although it has seen a part of the
// tokens only: norms and the biases of row-parallel layers, under sequence parallelism.
#pragma once

#include <cstdint>

#include "emulator/program/stage_context.hpp"

namespace traindyno {

/// Elements of the gradients that the ranks of a tensor group must sum, of all layers of the stage;
/// 0 without sequence parallelism.
[[nodiscard]] std::int64_t replicated_gradients(const StageContext& stage);

/// Sums them in one all-reduce of `packed`, as Megatron-LM does
/// (core/distributed/finalize_model_grads.py: it flattens them, reduces, and copies them back).
[[nodiscard]] Block reduce_replicated_gradients(const StageContext& stage, const Slice& packed);

}  // namespace traindyno
