// SPDX-License-Identifier: Apache-2.0
// The environment variables that NCCL is given.
#pragma once

#include <map>
#include <string>

#include "collectives/nccl/nccl_options.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

using EnvironmentSettings = std::map<std::string, std::string>;

/// From this NCCL_VERSION_CODE on NCCL itself can put several ranks on one GPU.
inline constexpr int first_nccl_with_shared_gpus = 23003;

/// What lets several ranks use one GPU. NCCL before 2.30.3 refuses two ranks of one host on one
/// GPU, so each rank claims a host of its own and all traffic takes the loopback network.
[[nodiscard]] EnvironmentSettings shared_gpu_environment(WorldRank rank, int nccl_version);

/// What every job gets, and the above where GPUs may be shared.
[[nodiscard]] EnvironmentSettings nccl_environment(GpuSharing sharing,
                                                   WorldRank rank,
                                                   int nccl_version);

/// Lets several communicators per device launch in the order of the calls (NCCL's user guide,
/// "Using multiple NCCL communicators concurrently"). Not below CUDA 12.9: there NCCL keeps the
/// order in graphs, below 12.3 everywhere, by running one operation after the other (NCCL 2.28.9,
/// src/enqueue.cc, getImplicitOrder), so that a receive would hold back the sends behind it.
/// `driver_version` as cudaDriverGetVersion gives it.
[[nodiscard]] EnvironmentSettings launch_order_environment(int driver_version);

/// Sets what is not set yet: the user's choice stands. Before the first CUDA and NCCL call, which
/// read it once, and while no other thread runs.
void set_where_unset(const EnvironmentSettings& settings);

}  // namespace traindyno
