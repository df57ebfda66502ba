// SPDX-License-Identifier: Apache-2.0
// Element-wise operations by their formulas, in fp64 on the host. Rows are row-major.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/gpu/kernels/device_array.hpp"

namespace traindyno::reference {

[[nodiscard]] double gelu(double x);
[[nodiscard]] double gelu_slope(double x);
[[nodiscard]] double silu(double x);
[[nodiscard]] double silu_slope(double x);

/// LayerNorm if the weights are scale and shift, RMSNorm if they are the scale.
[[nodiscard]] Values norm(const Values& x, const Values& weights, std::int64_t columns);

struct NormGradient {
    Values x;
    Values weights;
};

[[nodiscard]] NormGradient norm_gradient(const Values& x,
                                         const Values& dy,
                                         const Values& weights,
                                         std::int64_t columns);

/// The first `rotated` columns of each row, turned by its number; direction -1 turns back.
[[nodiscard]] Values rotary(const Values& x,
                            std::int64_t columns,
                            std::int64_t rotated,
                            double direction);

struct CrossEntropy {
    Values gradient;
    double loss = 0;
};

[[nodiscard]] CrossEntropy cross_entropy(const Values& logits,
                                         std::int64_t columns,
                                         const std::vector<std::int64_t>& targets);

}  // namespace traindyno::reference
