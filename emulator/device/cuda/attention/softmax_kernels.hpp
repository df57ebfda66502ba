// SPDX-License-Identifier: Apache-2.0
// What stands between the products of batched attention: causal softmax and its gradient.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "emulator/base/dtype.hpp"

namespace traindyno::cuda {

/// Score squares of some heads of one sequence, one behind the other: [heads, seq, row], of which
/// the first seq columns count.
struct ScoreSquares {
    std::int64_t heads = 0;
    std::int64_t seq = 0;
    std::int64_t row = 0;  ///< elements from row to row, at least seq
};

/// probabilities <- softmax(scores) over the columns up to the row's own, 0 beyond; statistics
/// [heads, seq] <- log-sum-exp of each row. Probabilities are in `storage`, the rest in fp32.
void launch_softmax(const ScoreSquares& squares,
                    DType storage,
                    const float* scores,
                    void* probabilities,
                    float* statistics,
                    cudaStream_t stream);

/// Where a token's heads lie in the context and its gradient.
struct ContextRows {
    const void* context = nullptr;  ///< of the first head
    const void* gradient = nullptr;
    std::int64_t head_size = 0;
    std::int64_t width = 0;  ///< elements from token to token
};

/// probabilities <- exp(scores - statistics), 0 beyond the row's own column;
/// grad_scores <- probabilities * (grad_probabilities - <gradient, context> of the row).
/// probabilities and grad_scores are in `storage`, as is the context; the rest is fp32.
void launch_softmax_gradient(const ScoreSquares& squares,
                             DType storage,
                             const float* scores,
                             const float* statistics,
                             const float* grad_probabilities,
                             const ContextRows& rows,
                             void* probabilities,
                             void* grad_scores,
                             cudaStream_t stream);

/// Gradients of keys or values, summed in fp32 over the query heads that share a key head:
/// from [heads * shared, seq, head_size] -> to, whose tokens are `width` elements apart.
struct SharedHeads {
    std::int64_t heads = 0;   ///< written
    std::int64_t shared = 1;  ///< read for each
    std::int64_t seq = 0;
    std::int64_t head_size = 0;
    std::int64_t width = 0;
};

void launch_sum_shared(
    const SharedHeads& at, DType storage, const float* from, void* to, cudaStream_t stream);

}  // namespace traindyno::cuda
