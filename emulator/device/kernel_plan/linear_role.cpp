// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/linear_role.hpp"

namespace traindyno {

std::optional<LinearRole> linear_role(const MatMul& product) {
    const bool transpose_a = product.transpose_a == Transpose::yes;
    const bool transpose_b = product.transpose_b == Transpose::yes;
    const bool accumulate = product.accumulate == Accumulate::yes;
    if (product.b.space == Space::parameter && !transpose_a && !accumulate) {
        return LinearRole{.pass = transpose_b ? LinearPass::forward : LinearPass::input_gradient,
                          .weight = product.b.offset,
                          .tokens = product.m,
                          .in = transpose_b ? product.k : product.n,
                          .out = transpose_b ? product.n : product.k};
    }
    if (product.c.space == Space::gradient && transpose_a && !transpose_b && accumulate) {
        return LinearRole{.pass = LinearPass::weight_gradient,
                          .weight = product.c.offset,
                          .tokens = product.k,
                          .in = product.n,
                          .out = product.m};
    }
    return std::nullopt;
}

}  // namespace traindyno
