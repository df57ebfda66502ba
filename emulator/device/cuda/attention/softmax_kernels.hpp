// SPDX-License-Identifier: Apache-2.0
// What stands between the products of batched attention: softmax and its gradient.
#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "emulator/base/dtype.hpp"
#include "emulator/program/op.hpp"

namespace traindyno::cuda {

/// Scores of some heads of one sequence, one behind the other: [heads, seq, row], of which the
/// first `keys` columns count.
struct ScoreMatrices {
    std::int64_t heads = 0;
    std::int64_t seq = 0;  ///< queries
    std::int64_t keys = 0;
    std::int64_t row = 0;  ///< elements from row to row, at least keys
    AttentionMask mask = AttentionMask::causal;
};

/// probabilities <- softmax(scores) over the columns that the mask leaves, 0 beyond; statistics
/// [heads, seq] <- log-sum-exp of each row. Probabilities are in `storage`, the rest in fp32.
void launch_softmax(const ScoreMatrices& at,
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

/// probabilities <- exp(scores - statistics), 0 beyond the mask;
/// grad_scores <- probabilities * (grad_probabilities - <gradient, context> of the row).
/// probabilities and grad_scores are in `storage`, as is the context; the rest is fp32. Statistics
/// and context may cover more keys than the scores do: then this is those keys' part.
void launch_softmax_gradient(const ScoreMatrices& at,
                             DType storage,
                             const float* scores,
                             const float* statistics,
                             const float* grad_probabilities,
                             const ContextRows& rows,
                             void* probabilities,
                             void* grad_scores,
                             cudaStream_t stream);

/// Gradients of keys or values, summed in fp32 over the query heads that share a key head:
/// from [heads * shared, keys, head_size] -> to, whose tokens are `width` elements apart.
struct SharedHeads {
    std::int64_t heads = 0;   ///< written
    std::int64_t shared = 1;  ///< read for each
    std::int64_t keys = 0;
    std::int64_t head_size = 0;
    std::int64_t width = 0;
};

void launch_sum_shared(
    const SharedHeads& at, DType storage, const float* from, void* to, cudaStream_t stream);

}  // namespace traindyno::cuda
