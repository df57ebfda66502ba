// SPDX-License-Identifier: Apache-2.0
// Memory of a GPU and what carries traffic out of it, without a program.
#pragma once

#include <cstddef>
#include <memory>

#include "collectives/communicator.hpp"
#include "collectives/staged/host_staging.hpp"
#include "emulator/gpu/gpu_options.hpp"

namespace traindyno {

/// Of the GPU that is current for this thread.
class GpuTraffic {
  public:
    virtual ~GpuTraffic() = default;

    /// Memory of the GPU, zeros; it goes back when the last owner is gone. LibraryError.
    [[nodiscard]] virtual std::shared_ptr<std::byte> allocate(std::size_t bytes) = 0;

    /// Copies between that memory and the host's.
    [[nodiscard]] virtual std::shared_ptr<HostStaging> make_staging() = 0;

    /// For buffers in that memory. `ranks` is a host communicator of its own. Collective.
    [[nodiscard]] virtual std::unique_ptr<Communicator> make_communicator(
        GpuCollectives carrier, std::unique_ptr<Communicator> ranks) = 0;
};

}  // namespace traindyno
