// SPDX-License-Identifier: Apache-2.0
// The part of a request that is about sharded data parallelism.
#pragma once

#include <cstdint>

#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/request.hpp"

namespace traindyno {

void read_sharding(const FlagReader& read, Workload& workload, Problems& problems);

/// Layout::shard of a point with `replicas`: those with no more of them than a shard group takes
/// shard over all they have.
[[nodiscard]] std::int64_t shard_of(const Workload& workload, std::int64_t replicas);

}  // namespace traindyno
