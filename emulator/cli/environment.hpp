// SPDX-License-Identifier: Apache-2.0
// What is needed to repeat a measurement: hosts, libraries, variables.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/study/study.hpp"

namespace traindyno {

/// This process's host.
[[nodiscard]] HostInfo this_host();

/// Every host of the job once, in order of its first rank. Collective over `world`.
[[nodiscard]] std::vector<HostInfo> gather_hosts(Communicator& world, const HostInfo& own);

/// Every GPU of the job once, in order of its first rank; `own` is empty without one. Collective
/// over `world`.
[[nodiscard]] std::vector<GpuInfo> gather_gpus(Communicator& world,
                                               const std::optional<GpuInfo>& own);

/// The variables of this process that steer MPI, OpenMP, CUDA, NCCL, Slurm or traindyno, by prefix;
/// not where NCCL logs.
[[nodiscard]] std::map<std::string, std::string> steering_variables();

/// Now, as ISO 8601 in UTC.
[[nodiscard]] std::string utc_now();

}  // namespace traindyno
