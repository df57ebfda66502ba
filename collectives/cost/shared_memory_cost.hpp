// SPDX-License-Identifier: Apache-2.0
// What a collective through shared memory costs: the memory traffic of each rank.
#pragma once

#include <cstdint>

#include "collectives/cost/cost.hpp"

namespace traindyno {

/// How values get from one rank's memory to another's (collectives/README.md).
enum class SharedPath : std::uint8_t {
    one_shot,  ///< everyone puts its input into a slot and takes what it needs from everyone's
    direct,    ///< buffers are shared: everyone reads and writes those of the others
    staged,    ///< chunk by chunk through shared windows
};

/// Cost::bytes and path are bytes that a rank reads and writes, its LinkModel::beta is the time per
/// byte while all ranks do, alpha that of a phase (all wait for all); nothing is sent. `windows`:
/// chunks of a staged message.
[[nodiscard]] Cost shared_memory_cost(SharedPath path,
                                      CollectiveOp op,
                                      std::int64_t bytes,
                                      std::int64_t ranks,
                                      std::int64_t windows = 1);

}  // namespace traindyno
