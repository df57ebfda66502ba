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
    std::int64_t ranks = 1;           ///< that share; 1 where nothing is shared
    std::int64_t rank = 0;            ///< of those that share
    std::optional<GroupId> replicas;  ///< hybrid sharding: that hold the same shard

    friend bool operator==(const ShardGroup&, const ShardGroup&) = default;
};

/// Those of one stage. Absent where this rank is alone.
struct StageShards {
    std::optional<ShardGroup> all;      ///< that hold the same, but for experts that are apart
    std::optional<ShardGroup> experts;  ///< that hold the same experts, where those are apart
};

/// This rank's part of a bucket: all of it where the rank is alone.
[[nodiscard]] inline Bucket own_part(const std::optional<ShardGroup>& group, const Bucket& bucket) {
    const ShardGroup at = group.value_or(ShardGroup{});
    const std::int64_t elements = bucket.elements / at.ranks;
    return {.offset = bucket.offset + at.rank * elements, .elements = elements};
}

/// Where a rank keeps its share of a bucket that lies at `position` in memory: behind its shares of
/// all before it.
[[nodiscard]] std::int64_t kept_at(const ParameterMap& map,
                                   const Sharding& sharding,
                                   std::int64_t position);

/// Where it keeps its share of a bucket of the map, and how much that is.
[[nodiscard]] inline Bucket kept_part(const ParameterMap& map,
                                      const Sharding& sharding,
                                      const std::optional<ShardGroup>& group,
                                      const Bucket& bucket) {
    return {.offset = kept_at(map, sharding, map.resident(bucket.offset)),
            .elements = own_part(group, bucket).elements};
}

/// Its shares of all of them.
[[nodiscard]] inline std::int64_t kept_elements(const ParameterMap& map, const Sharding& sharding) {
    return kept_at(map, sharding, map.elements);
}

/// What the optimizer does on this rank: as few updates as cover its share of all buckets. In
/// aliased memory what layers share is updated as often as there are layers.
[[nodiscard]] std::vector<OptimizerStep> updates_of(const ParameterMap& map,
                                                    const Sharding& sharding,
                                                    const StageShards& shards);

}  // namespace traindyno
