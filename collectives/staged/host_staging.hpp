// SPDX-License-Identifier: Apache-2.0
// Copies between a device's memory and host memory that a host communicator can send from.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "collectives/communicator.hpp"

namespace traindyno {

class HostStaging {
  public:
    virtual ~HostStaging() = default;

    /// Host memory of `size` bytes for copies; it goes back when the last owner is gone. Never
    /// null. Blocks are reused, so a repeated step allocates nothing.
    [[nodiscard]] virtual std::shared_ptr<std::byte> lend(std::size_t size) = 0;
    /// Begins a copy. Both buffers must stay as they are until it is complete.
    virtual Pending to_host(std::span<const std::byte> device, std::span<std::byte> host) = 0;
    virtual Pending to_device(std::span<const std::byte> host, std::span<std::byte> device) = 0;
};

}  // namespace traindyno
