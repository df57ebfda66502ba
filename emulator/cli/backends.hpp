// SPDX-License-Identifier: Apache-2.0
// The one place that knows every device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/cli/request.hpp"
#include "emulator/device/device.hpp"

namespace traindyno {

/// What a rank may use on its host.
struct RankResources {
    std::vector<int> cores;       ///< for compute threads
    std::int64_t local_size = 1;  ///< ranks of this job on the host
};

/// A new device of the requested kind for this rank. Throws ConfigError.
[[nodiscard]] std::unique_ptr<Device> make_device(const MeasureRequest& request,
                                                  const RankResources& resources);

}  // namespace traindyno
