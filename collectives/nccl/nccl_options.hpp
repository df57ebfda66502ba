// SPDX-License-Identifier: Apache-2.0
// How NCCL carries a group's traffic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "emulator/base/units.hpp"

namespace traindyno {

/// Whether several ranks may share one GPU: a functional mode, never a performance result.
enum class GpuSharing : std::uint8_t { refused, allowed };

/// When an operation's call returns: once its work is in the stream, or at once, so that
/// NcclComm::settled() must be asked before anything is ordered after it. NCCL enqueues from a
/// thread of its own, and connects to a peer at the first use, which waits for that peer.
enum class Settling : std::uint8_t { before_return, later };

/// Zero or empty leaves the choice to NCCL.
struct NcclOptions {
    std::string name = "world";  ///< in NCCL's log and in errors
    std::int32_t min_ctas = 0;   ///< thread blocks, hence multiprocessors, per collective
    std::int32_t max_ctas = 0;
    /// Blocks per cluster; NCCL takes 4 on sm_90.
    std::optional<std::int32_t> cga_cluster_size = std::nullopt;
    SimTime timeout = std::chrono::seconds{120};  ///< for set-up; steps have the engine's
    GpuSharing sharing = GpuSharing::refused;
    Settling settling = Settling::before_return;
};

}  // namespace traindyno
