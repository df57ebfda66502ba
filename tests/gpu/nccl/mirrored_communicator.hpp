// SPDX-License-Identifier: Apache-2.0
// Puts a communicator for device memory under the contract, whose buffers are host memory.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "emulator/base/units.hpp"

namespace traindyno::test {

/// Device memory for everything that is in flight at one time.
class MirrorMemory;

[[nodiscard]] std::shared_ptr<MirrorMemory> make_mirror_memory(Bytes size);

/// Every operation copies its host buffers to device memory, has `device` work on that, and copies
/// back what was received when it is complete.
[[nodiscard]] std::unique_ptr<Communicator> make_mirrored_communicator(
    std::shared_ptr<Communicator> device, std::shared_ptr<MirrorMemory> memory);

}  // namespace traindyno::test
