// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/shard_group.hpp"

namespace traindyno {

namespace {

/// The update of this rank's part of `bucket`. What is kept of a bucket at `position` in memory
/// lies at position / ranks.
OptimizerStep update_of(const Sharding& sharding,
                        std::int64_t rank,
                        std::int64_t position,
                        std::int64_t elements) {
    const Bucket own = own_part(sharding, rank, {.offset = position, .elements = elements});
    const std::int64_t kept = position / sharding.ranks;
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

std::vector<OptimizerStep> updates_of(const ParameterMap& map,
                                      const Sharding& sharding,
                                      std::int64_t rank) {
    std::vector<OptimizerStep> updates;
    const auto add = [&](std::int64_t position, std::int64_t elements) {
        const OptimizerStep next = update_of(sharding, rank, position, elements);
        if (!updates.empty() && continues(updates.back(), next)) {
            updates.back().elements += next.elements;
        } else {
            updates.push_back(next);
        }
    };
    if (sharding.ranks == 1) {
        add(0, map.elements);
        for (std::int64_t i = map.resident_layers; i < map.layers; ++i) {
            add(map.output_elements, map.layer.elements);
        }
        return updates;
    }
    for (const Bucket& bucket : map.buckets) {
        add(map.resident(bucket.offset), bucket.elements);
    }
    return updates;
}

}  // namespace traindyno
