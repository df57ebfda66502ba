// SPDX-License-Identifier: Apache-2.0
// Looks at how the job was started before anything is timed.
#pragma once

#include <string>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/cli/backends.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/engine/engine.hpp"

namespace traindyno {

/// What a job that may run looks like from this rank.
struct LaunchVerdict {
    RankResources resources;  ///< this rank's cores
    Waiting waiting = Waiting::poll;
    std::vector<std::string> hosts;  ///< of every rank
    std::vector<std::string> flags;  ///< to be stamped on the result
    std::vector<std::string> notes;  ///< to be mentioned once
    std::string binding;             ///< how ranks sit on cores
    std::string clock;               ///< how clocks were synchronised
    double clock_error_seconds = 0;
};

/// Collective over `world`. Throws LaunchError on all ranks when results would be meaningless.
/// `gpus` are those that this process sees.
[[nodiscard]] LaunchVerdict inspect_launch(Communicator& world,
                                           const MeasureRequest& request,
                                           const GpuInventory& gpus,
                                           const std::string& arguments);

}  // namespace traindyno
