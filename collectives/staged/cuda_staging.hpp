// SPDX-License-Identifier: Apache-2.0
// Staging for CUDA memory: page-locked blocks, one stream per direction.
#pragma once

#include <memory>

#include "collectives/staged/host_staging.hpp"

namespace traindyno {

/// For the device that is current when it is made. Blocks are allocated as they are first needed,
/// which the warm-up step does.
[[nodiscard]] std::shared_ptr<HostStaging> make_cuda_staging();

}  // namespace traindyno
