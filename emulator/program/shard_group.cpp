// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/shard_group.hpp"

#include <algorithm>

namespace traindyno {

namespace {

/// The update of this rank's part of what lies at `place` in memory.
OptimizerStep update_of(const ParameterMap& map,
                        const Sharding& sharding,
                        const std::optional<ShardGroup>& group,
                        const Bucket& place) {
    const Bucket own = own_part(group, place);
    const std::int64_t kept = kept_at(map, sharding, place.offset);
    const std::int64_t in_place = own.offset - kept;
    return {.offset = kept,
            .elements = own.elements,
            .weight_shift = sharding.zero == Zero::parameters ? 0 : in_place,
            .gradient_shift = sharding.gradients == GradientPlace::buffers ? 0 : in_place};
}

bool continues(const OptimizerStep& step, const OptimizerStep& next) {
    return step.offset + step.elements == next.offset && step.weight_shift == next.weight_shift &&
           step.gradient_shift == next.gradient_shift;
}

}  // namespace

std::int64_t kept_at(const ParameterMap& map, const Sharding& sharding, std::int64_t position) {
    std::int64_t experts = 0;  // elements before `position`
    if (sharding.experts_apart && map.resident_experts > 0) {
        const std::int64_t all = map.resident_experts * map.expert_stride;
        const std::int64_t inside =
            std::clamp<std::int64_t>(position - map.output_elements, 0, all);
        const std::int64_t common = map.expert_layer.common;
        experts = inside / map.expert_stride * (map.expert_stride - common) +
                  std::max<std::int64_t>(inside % map.expert_stride - common, 0);
    }
    return (position - experts) / sharding.ranks + experts / sharding.expert_ranks;
}

std::vector<OptimizerStep> updates_of(const ParameterMap& map,
                                      const Sharding& sharding,
                                      const StageShards& shards) {
    std::vector<OptimizerStep> updates;
    const auto add = [&](const std::optional<ShardGroup>& group, const Bucket& place) {
        const OptimizerStep next = update_of(map, sharding, group, place);
        if (!updates.empty() && continues(updates.back(), next)) {
            updates.back().elements += next.elements;
        } else {
            updates.push_back(next);
        }
    };
    if (sharding.ranks == 1) {
        add(std::nullopt, {.offset = 0, .elements = map.elements});
        for (const Bucket& layer : map.shared_places()) {
            add(std::nullopt, layer);
        }
        return updates;
    }
    auto experts = map.expert_buckets.begin();
    const auto add_experts = [&](std::int64_t before) {
        for (; experts != map.expert_buckets.end() && experts->offset < before; ++experts) {
            add(shards.experts,
                {.offset = map.resident(experts->offset), .elements = experts->elements});
        }
    };
    for (const Bucket& bucket : map.buckets) {
        add_experts(bucket.offset);
        add(shards.all, {.offset = map.resident(bucket.offset), .elements = bucket.elements});
    }
    add_experts(map.parameters);
    return updates;
}

}  // namespace traindyno
