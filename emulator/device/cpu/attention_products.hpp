// SPDX-License-Identifier: Apache-2.0
// The matrix products of attention between one query block and one key block.
#pragma once

#include <cstdint>

#include "emulator/device/attention_shape.hpp"
#include "emulator/device/cpu/gemm.hpp"

namespace traindyno {

/// Compiled for one pair of block sizes. Q, K, V and dO are read where they lie, between other
/// heads; scores and sums over blocks are contiguous, sums in fp32.
struct BlockProducts {
    Gemm scores;              ///< Q K^T
    Gemm context;             ///< += P V
    Gemm grad_probabilities;  ///< dO V^T
    Gemm grad_value;          ///< += P^T dO
    Gemm grad_query;          ///< += dS K
    Gemm grad_key;            ///< += dS^T Q
};

/// For `rows` queries and `columns` keys, with operands in `type`.
[[nodiscard]] BlockProducts products_for(const AttentionShape& shape,
                                         DType type,
                                         std::int64_t rows,
                                         std::int64_t columns);

}  // namespace traindyno
