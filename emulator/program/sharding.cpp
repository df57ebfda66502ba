// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/sharding.hpp"

#include <algorithm>

#include "emulator/program/build.hpp"

namespace traindyno {

Sharding sharding_of(const Model& model, const Layout& layout, const TrainingSetup& setup) {
    const std::int64_t replicas = layout.dp * layout.cp;
    Sharding sharding;
    sharding.experts_apart = layout.ep > 1;
    if (replicas == 1) {
        return sharding;
    }
    const bool every = setup.gradient_reduction == GradientReduction::every_micro_batch;
    const bool one = micro_batches(layout, setup) == 1;
    sharding.zero = setup.zero;
    sharding.accumulates = every && !one;
    if (setup.zero != Zero::none) {
        sharding.ranks = layout.shard == 0 ? replicas : layout.shard;
        sharding.expert_ranks = replicas / layout.ep;
        sharding.own_table = model.tied_embeddings && layout.pp > 1;
    }
    if (sharding.accumulates || (setup.zero >= Zero::gradients && one)) {
        sharding.gradients = GradientPlace::buffers;
    }
    sharding.bucket = sharding.padded(bucket_elements(setup.bucket, setup.gradient_type));
    return sharding;
}

std::vector<Bucket> cut(const Sharding& sharding, std::int64_t from, std::int64_t to) {
    const std::int64_t most = sharding.zero == Zero::parameters ? to - from : sharding.bucket;
    std::vector<Bucket> buckets;
    for (std::int64_t at = from; at < to; at = buckets.back().end()) {
        buckets.push_back({.offset = at, .elements = std::min(most, to - at)});
    }
    return buckets;
}

}  // namespace traindyno
