// SPDX-License-Identifier: Apache-2.0
// Attention as matrix products over some heads at a time, with scores in memory: works everywhere,
// and is what the fused kernels are checked against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/base/precision.hpp"
#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/attention/softmax_kernels.hpp"
#include "emulator/device/cuda/attention/strided_product.hpp"

namespace traindyno::cuda {

/// Heads per round: they share one key head or each have their own, their scratch fits 512 MiB
/// unless one head alone takes more, and they divide what is to be done.
[[nodiscard]] std::int64_t heads_at_once(const AttentionShape& shape, DType storage);

class BatchedAttention : public Attention {
  public:
    BatchedAttention(cublasLtHandle_t handle, const AttentionShape& shape, Precision precision);

    void forward(const AttentionArguments& arguments, cudaStream_t stream) override;
    void backward(const AttentionArguments& arguments, cudaStream_t stream) override;
    [[nodiscard]] Bytes workspace_size() const override;

  private:
    /// Parts of the workspace.
    struct Scratch {
        void* products = nullptr;  ///< cuBLASLt's
        float* scores = nullptr;   ///< ScoreMatrices, as the next three
        float* grad_probabilities = nullptr;
        void* probabilities = nullptr;
        void* grad_scores = nullptr;
        float* grad_keys = nullptr;  ///< [heads at once, keys, head_size], as the next
        float* grad_values = nullptr;
        std::int64_t size = 0;  ///< of all, in bytes
    };
    /// Addresses of the heads of one round.
    struct Round;

    /// Addresses are null without a workspace.
    [[nodiscard]] Scratch place(void* workspace) const;
    [[nodiscard]] Round round_at(const AttentionArguments& arguments,
                                 std::int64_t sequence,
                                 std::int64_t head) const;
    void backward_round(const Round& at, const Scratch& scratch, cudaStream_t stream) const;
    void store_key_gradients(const Round& at, const Scratch& scratch, cudaStream_t stream) const;

    AttentionShape shape_;
    DType storage_;
    std::int64_t group_;  ///< query heads that share one key head
    ScoreMatrices matrices_;
    StridedProduct scores_;
    StridedProduct context_;
    StridedProduct grad_probabilities_;
    StridedProduct grad_values_;
    StridedProduct grad_queries_;
    StridedProduct grad_keys_;
};

}  // namespace traindyno::cuda
