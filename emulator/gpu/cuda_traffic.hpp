// SPDX-License-Identifier: Apache-2.0
// GpuTraffic on an NVIDIA GPU: NCCL, or MPI through host memory.
#pragma once

#include <memory>

#include "collectives/nccl/nccl_options.hpp"
#include "emulator/gpu/gpu_traffic.hpp"

namespace traindyno {

/// Makes `ordinal` the current device of this thread.
[[nodiscard]] std::unique_ptr<GpuTraffic> make_cuda_traffic(int ordinal, const NcclOptions& nccl);

}  // namespace traindyno
