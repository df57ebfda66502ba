// SPDX-License-Identifier: Apache-2.0
// The flags that say what is trained and how, which several commands take.
#pragma once

#include <cstdint>

#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/request.hpp"

namespace traindyno {

/// `read` reads the values of `flags`; a model may have been imported.
[[nodiscard]] Workload read_workload(const Flags& flags,
                                     const FlagReader& read,
                                     Precision default_precision,
                                     Problems& problems);

/// How layers are shared among stages.
void read_stages(const FlagReader& read, Workload& workload, Problems& problems);

/// With `dp` replicas. No more of them than a shard group takes shard over all they are.
[[nodiscard]] Layout layout_of(const Workload& workload, std::int64_t dp);

/// Sequences per step and replica: as given, or what keeps the pipeline busy.
[[nodiscard]] std::int64_t batch_per_replica(const FlagReader& read, const Workload& workload);

}  // namespace traindyno
