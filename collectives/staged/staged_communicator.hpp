// SPDX-License-Identifier: Apache-2.0
// Device buffers over a host communicator: device -> host -> wire -> host -> device. Runs wherever
// MPI does.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "collectives/staged/host_staging.hpp"

namespace traindyno {

/// Its buffers are device memory, whose contents must be final when an operation is posted. It and
/// what is split from it must be used from one thread.
[[nodiscard]] std::unique_ptr<Communicator> make_staged_communicator(
    std::unique_ptr<Communicator> host, std::shared_ptr<HostStaging> staging);

}  // namespace traindyno
