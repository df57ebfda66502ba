// SPDX-License-Identifier: Apache-2.0
// A product as cuBLASLt describes it, and the algorithms it offers for that.
#pragma once

#include <vector>

#include "emulator/device/cuda/gemm/cublas_lt.hpp"
#include "emulator/device/cuda/gemm/gemm_operands.hpp"
#include "emulator/device/gemm_plans/gemm_key.hpp"

namespace traindyno {

/// Needs no GPU to be built. Not for two threads at once: launch() sets pointers in it.
class GemmDescriptors {
  public:
    /// ContractError when `key` breaks a rule. `multiprocessors` are those of the GPU.
    GemmDescriptors(const GemmKey& key, int multiprocessors);

    [[nodiscard]] const GemmKey& key() const { return key_; }

    [[nodiscard]] cublasLtMatmulDesc_t operation() const { return operation_.get(); }

    [[nodiscard]] cublasLtMatrixLayout_t first() const { return first_.get(); }

    [[nodiscard]] cublasLtMatrixLayout_t second() const { return second_.get(); }

    [[nodiscard]] cublasLtMatrixLayout_t result() const { return result_.get(); }

    /// Puts the pointers that are attributes of the operation there: all but a, b and c.
    void point_to(const GemmOperands& operands);

  private:
    GemmKey key_;
    LtOperation operation_;
    LtLayout first_;
    LtLayout second_;
    LtLayout result_;
};

/// The algorithms that cuBLASLt's heuristics offer, best guess first, at most `most`; none when it
/// does not support the product.
[[nodiscard]] std::vector<cublasLtMatmulAlgo_t> offered_algorithms(
    const LtSession& session, const GemmDescriptors& descriptors, int most);

/// Whether `algorithm`, which came from a file, can run this product here.
[[nodiscard]] bool can_run(const LtSession& session,
                           const GemmDescriptors& descriptors,
                           const cublasLtMatmulAlgo_t& algorithm);

/// Queues the product. Neither allocates nor waits.
[[nodiscard]] cublasStatus_t launch(const LtSession& session,
                                    GemmDescriptors& descriptors,
                                    const cublasLtMatmulAlgo_t& algorithm,
                                    const GemmOperands& operands,
                                    cudaStream_t stream);

}  // namespace traindyno
