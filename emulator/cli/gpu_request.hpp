// SPDX-License-Identifier: Apache-2.0
// The flags that only GPUs know.
#pragma once

#include <string>

#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/request.hpp"

namespace traindyno {

/// Sets request.gpu from --collectives, --graph, --data, --nccl-ctas, --nccl-priority,
/// --nccl-register, --reserve-sms, --plan-cache and --share-gpu, and from what `request` says
/// already: device, precision, seed, timeout, machine. Without a GPU each of those flags but the
/// first is a problem.
void read_gpu(const FlagReader& read,
              const GpuInventory& gpus,
              MeasureRequest& request,
              Problems& problems);

/// "$XDG_CACHE_HOME/traindyno/matmul_plans.json" or the same below ~/.cache; "" without a home.
[[nodiscard]] std::string default_plan_cache();

}  // namespace traindyno
