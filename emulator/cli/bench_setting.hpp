// SPDX-License-Identifier: Apache-2.0
// Who `traindyno collectives` measures, and in which memory.
#pragma once

#include <string>
#include <vector>

#include "collectives/mpi/session.hpp"
#include "emulator/cli/collectives_request.hpp"
#include "emulator/collective_bench/measure_collectives.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

struct BenchSetting {
    std::vector<Contender> contenders;
    BenchMemory memory;
    std::string buffers;             ///< what that memory is
    std::vector<std::string> flags;  ///< what makes the figures worth less
};

/// For request.device, of which `gpus` has some where that is a GPU. `hosts` has every rank's name.
/// Collective. Throws ConfigError where a host, and LaunchError where a GPU, cannot serve all its
/// ranks, on all of them.
[[nodiscard]] BenchSetting bench_setting(MpiSession& session,
                                         Communicator& world,
                                         const CollectivesRequest& request,
                                         const GpuInventory& gpus,
                                         const std::vector<std::string>& hosts);

}  // namespace traindyno
