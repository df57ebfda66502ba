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

enum class BufferPlace : std::uint8_t {
    ordinary,  ///< a process's own memory
    shared,    ///< memory that all members address
};

/// What ShmCommunicator goes by, in bytes.
struct SharedLimits {
    /// Of an all-reduce from which it is faster that each member reduces its share only. What
    /// others read of any other short message is all meant for them.
    static constexpr std::int64_t read_by_all = std::int64_t{16} << 10;
    /// That a member shows at once: a length, and behind it a short message.
    static constexpr std::int64_t slot = std::int64_t{64} << 10;
    static constexpr std::int64_t header = sizeof(std::int64_t);
    /// Of a message between ordinary buffers, shown to each member at a time. Where all wait for
    /// one another on processors of their own, so few that what is shown is read from a
    /// second-level cache (measured: shm_sizes_bench).
    static constexpr std::int64_t chunk = std::int64_t{128} << 10;
};

struct SharedWay {
    SharedPath path = SharedPath::direct;
    std::int64_t windows = 1;

    friend bool operator==(const SharedWay&, const SharedWay&) = default;
};

/// Of members with processors of their own.
[[nodiscard]] SharedWay shared_way(CollectiveOp op,
                                   std::int64_t bytes,
                                   std::int64_t ranks,
                                   BufferPlace buffers);

/// Cost::bytes and path are bytes that a rank reads and writes, its LinkModel::beta is the time per
/// byte while all ranks do, alpha that of a phase (all wait for all); nothing is sent. `windows`:
/// chunks of a staged message.
[[nodiscard]] Cost shared_memory_cost(SharedPath path,
                                      CollectiveOp op,
                                      std::int64_t bytes,
                                      std::int64_t ranks,
                                      std::int64_t windows = 1);

}  // namespace traindyno
