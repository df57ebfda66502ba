// SPDX-License-Identifier: Apache-2.0
// Which GPUs a job sees, and which of them is a rank's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/cli/flags.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

/// Why ranks of one job cannot agree on a device: some see a GPU and some do not. `problems[r]` is
/// "host: reason" where rank r sees none, else "". Nothing when they agree.
[[nodiscard]] std::optional<std::string> gpu_disagreement(const std::vector<std::string>& problems);

/// GPUs of this host, where the job may want one (may_use_gpu), once all ranks see some or none: or
/// only some would be refused, and wait for the rest. Comes before anything else of CUDA and NCCL.
/// Collective over `world`. Throws LaunchError on all ranks.
[[nodiscard]] GpuInventory agree_on_gpus(Communicator& world, const Flags& flags, WorldRank rank);

/// The one of `gpus` that this rank is to use; there must be some. Collective over `world`.
[[nodiscard]] GpuDescription gpu_of_rank(Communicator& world, const GpuInventory& gpus);

}  // namespace traindyno
