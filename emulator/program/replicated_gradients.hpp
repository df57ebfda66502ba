// SPDX-License-Identifier: Apache-2.0
// With sequence parallelism each tensor-parallel rank sees its own tokens only, so what all of them
// hold of a weight (norms, biases of row-parallel layers, routers) has the gradient of those
// tokens: they are summed over the tensor group (Megatron-LM, finalize_model_grads).
#pragma once

#include "emulator/program/stage_context.hpp"

namespace traindyno {

/// Elements of such gradients on one stage; 0 without sequence parallelism.
[[nodiscard]] std::int64_t replicated_gradients(const StageContext& stage);

/// Sums those of the stage at once: copied into `packed`, reduced, copied back.
[[nodiscard]] Block reduce_replicated_gradients(const StageContext& stage, const Slice& packed);

/// Sums those of one unit in place, which lie relative to the unit's base.
[[nodiscard]] Block reduce_replicated_gradients(const StageContext& stage, const Unit& unit);

}  // namespace traindyno
