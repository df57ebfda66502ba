// SPDX-License-Identifier: Apache-2.0
// Times algorithms of one matrix product on operands of its own.
#pragma once

#include <chrono>
#include <vector>

#include "emulator/device/cuda/gemm/gemm_descriptors.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

/// Holds operands of normally distributed numbers, as many sets in turn as it takes that the L2
/// cache holds none when its turn comes; one set where that alone is larger. Waits for the device
/// when made, used and destroyed. `session` and `descriptors` outlive it.
class GemmTimer {
  public:
    GemmTimer(const LtSession& session, GemmDescriptors& descriptors);

    /// Runs `algorithm` for that long, so that clocks rise to what they are under load.
    void warm_up(const cublasLtMatmulAlgo_t& algorithm, std::chrono::milliseconds time);

    /// Microseconds of each of `launches` back-to-back launches after one more; empty when
    /// cuBLASLt refuses to run it. Below about 10 us it is the host's launches that are timed.
    [[nodiscard]] std::vector<double> microseconds(const cublasLtMatmulAlgo_t& algorithm,
                                                   int launches);

  private:
    void fill(std::byte* to, std::int64_t bytes, const std::vector<std::byte>& numbers);
    void fill_sets(const std::vector<std::int64_t>& bytes);
    cublasStatus_t launch_next(const cublasLtMatmulAlgo_t& algorithm);

    const LtSession& session_;
    GemmDescriptors& descriptors_;
    CudaStream stream_;
    DeviceBytes memory_;
    std::vector<GemmOperands> sets_;
    std::size_t next_ = 0;
    std::vector<CudaEvent> events_;
};

}  // namespace traindyno
