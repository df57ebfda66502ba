// SPDX-License-Identifier: Apache-2.0
// Recognises the three matrix products of a linear layer (emulator/program/linear.hpp).
#pragma once

#include <cstdint>
#include <optional>

#include "emulator/program/op.hpp"

namespace traindyno {

enum class LinearPass : std::uint8_t { forward, input_gradient, weight_gradient };

struct LinearRole {
    LinearPass pass = LinearPass::forward;
    std::int64_t weight = 0;  ///< offset in parameter and gradient space
    std::int64_t tokens = 0;
    std::int64_t in = 0;
    std::int64_t out = 0;
};

/// Empty for any other product.
[[nodiscard]] std::optional<LinearRole> linear_role(const MatMul& product);

}  // namespace traindyno
