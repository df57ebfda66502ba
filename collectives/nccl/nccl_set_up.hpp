// SPDX-License-Identifier: Apache-2.0
// What must happen once per process before NCCL is used.
#pragma once

#include <string>
#include <vector>

#include "collectives/nccl/nccl_log.hpp"
#include "collectives/nccl/nccl_options.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

/// Made before the first CUDA and NCCL call of the process; lives as long as communicators do.
class NcclSetUp {
  public:
    NcclSetUp(GpuSharing sharing, WorldRank rank);

    /// NCCL's own words on network, NICs and channels, for the result file. After the warm-up.
    [[nodiscard]] std::vector<std::string> topology() const { return log_.lines(); }

  private:
    NcclLog log_;
};

}  // namespace traindyno
