// SPDX-License-Identifier: Apache-2.0
// One rank's place among those that share or copy the state of a stage.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/parameter_map.hpp"

namespace traindyno {

/// What gradients are reduced in. Without hybrid sharding one group does it all.
struct ShardGroup {
    GroupId group;                    ///< that shares state; every replica where nothing is shared
    std::int64_t rank = 0;            ///< of those that share; 0 where nothing is shared
    std::optional<GroupId> replicas;  ///< hybrid sharding: that hold the same shard

    friend bool operator==(const ShardGroup&, const ShardGroup&) = default;
};

/// This rank's part of a bucket that begins at `offset`.
[[nodiscard]] inline Bucket own_part(const Sharding& sharding,
                                     std::int64_t rank,
                                     const Bucket& bucket) {
    const std::int64_t elements = bucket.elements / sharding.ranks;
    return {.offset = bucket.offset + rank * elements, .elements = elements};
}

/// What the optimizer does on this rank: as few updates as cover its share of all buckets. In
/// aliased memory what layers share is updated as often as there are layers.
[[nodiscard]] std::vector<OptimizerStep> updates_of(const ParameterMap& map,
                                                    const Sharding& sharding,
                                                    std::int64_t rank);

}  // namespace traindyno
