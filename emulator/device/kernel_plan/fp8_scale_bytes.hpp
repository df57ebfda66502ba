// SPDX-License-Identifier: Apache-2.0
// Memory of delayed scaling.
#pragma once

#include <cstdint>

#include "emulator/base/dtype.hpp"

namespace traindyno {

/// Steps over which the largest magnitude of a tensor sets its scale: the default of Transformer
/// Engine's DelayedScaling (transformer_engine/common/recipe/__init__.py).
inline constexpr std::int64_t amax_history_steps = 1024;

/// For each tensor amax, scale, its inverse, the format's largest value, a position in the history
/// and the history itself, 4 bytes each.
[[nodiscard]] constexpr Bytes fp8_scale_bytes(std::int64_t tensors, std::int64_t history) {
    return size_of(tensors * (history + 5), DType::fp32);
}

}  // namespace traindyno
