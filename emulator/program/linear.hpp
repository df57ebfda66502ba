// SPDX-License-Identifier: Apache-2.0
// The three matrix products of a linear layer.
#pragma once

#include <cstdint>

#include "emulator/program/op.hpp"

namespace traindyno {

/// y[tokens, out] = x[tokens, in] weight[out, in]^T
struct Linear {
    std::int64_t tokens = 0;
    std::int64_t in = 0;
    std::int64_t out = 0;
    Slice weight;
};

[[nodiscard]] MatMul forward(const Linear& linear, const Slice& x, const Slice& y);

/// dx[tokens, in] = dy[tokens, out] weight[out, in]
[[nodiscard]] MatMul input_gradient(const Linear& linear, const Slice& dy, const Slice& dx);

/// The weight's gradient [out, in] += dy[tokens, out]^T x[tokens, in]
[[nodiscard]] MatMul weight_gradient(const Linear& linear, const Slice& x, const Slice& dy);

}  // namespace traindyno
