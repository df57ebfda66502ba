// SPDX-License-Identifier: Apache-2.0
// How data-parallel ranks share out the state of a stage: optimizer, gradients, parameters.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/arena.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Where the main gradients of a stage lie while micro-batches add to them.
enum class GradientPlace : std::uint8_t {
    whole,    ///< all of them, reduced in place after the last micro-batch
    buffers,  ///< buffers that layers take in turn; what is reduced is kept, whole or a shard
};

/// What data parallelism cuts a stage's state into. A unit is what is gathered, reduced and cut by
/// itself: a layer, or what surrounds the layers.
struct Sharding {
    Zero zero = Zero::none;         ///< none where one rank has nobody to share with
    std::int64_t ranks = 1;         ///< that share state; 1 without sharding
    std::int64_t expert_ranks = 1;  ///< that share the state of experts, where those are apart
    GradientPlace gradients = GradientPlace::whole;
    bool accumulates = false;  ///< reduced gradients are added up over micro-batches
    bool own_table = false;    ///< the table that two stages tie is cut by itself, so that both cut
                               ///< it alike (Megatron-LM gives it a bucket of its own)
    bool experts_apart = false;  ///< fewer ranks hold the same experts than hold all else
    /// Elements of a bucket, a multiple of `multiple()`.
    std::int64_t bucket = std::numeric_limits<std::int64_t>::max();

    /// Whether each unit is cut by itself, not the whole array into buckets.
    [[nodiscard]] bool by_unit() const {
        return zero >= Zero::gradients || gradients == GradientPlace::buffers ||
               (experts_apart && zero != Zero::none);
    }

    /// What is cut has a multiple of this many elements, so that every part is aligned.
    [[nodiscard]] std::int64_t multiple() const {
        return zero != Zero::none || by_unit() ? ranks * arena_alignment : 1;
    }

    [[nodiscard]] std::int64_t padded(std::int64_t elements) const {
        return (elements + multiple() - 1) / multiple() * multiple();
    }

    /// Experts that are apart have a multiple of as much for each of their ranks.
    [[nodiscard]] std::int64_t padded_experts(std::int64_t elements) const {
        const std::int64_t unit = multiple() / ranks * expert_ranks;
        return (elements + unit - 1) / unit * unit;
    }
};

/// Valid models, layouts and setups only (problems_of).
[[nodiscard]] Sharding sharding_of(const Model& model,
                                   const Layout& layout,
                                   const TrainingSetup& setup);

/// `from` to `to` in buckets, the last one shorter; in one with ZeRO 3, which moves whole units
/// (Zhao et al., PyTorch FSDP, VLDB 2023, section 3). Of the ranks that share a bucket, rank r
/// holds the r-th equal part.
[[nodiscard]] std::vector<Bucket> cut(const Sharding& sharding, std::int64_t from, std::int64_t to);

}  // namespace traindyno
