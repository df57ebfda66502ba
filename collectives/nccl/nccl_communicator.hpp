// SPDX-License-Identifier: Apache-2.0
// Communicator over NCCL, for device memory.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "collectives/nccl/nccl_options.hpp"

namespace traindyno {

/// `control` is a host communicator of the same members; it carries set-up. For the device that is
/// current. Collective; blocks. Buffers are device memory whose contents are final when an
/// operation is posted. Messages match in the order of the calls, whatever their tags, and their
/// lengths must agree: NCCL compares neither. The first message between two ranks sets up a
/// communicator for them: let the warm-up send one. Operations start when they are posted or when
/// any Pending of the family, all that were split from one, is asked; from one thread.
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(
    std::unique_ptr<Communicator> control, const NcclOptions& options);

}  // namespace traindyno
