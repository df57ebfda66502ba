// SPDX-License-Identifier: Apache-2.0
// Reduces the gradients of a stage over data-parallel ranks, and tied embeddings over stages.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "emulator/program/block_writer.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/shard_group.hpp"
#include "emulator/program/task_list.hpp"
#include "emulator/program/training_setup.hpp"
#include "emulator/program/unit_buffers.hpp"

namespace traindyno {

/// Groups that gradients are reduced in; absent where they have one rank.
struct GradientGroups {
    StageShards shards;
    std::optional<GroupId> embedding;
};

/// Gradients that lie whole in place are reduced bucket by bucket after the last micro-batch.
/// Gradients in buffers are reduced unit by unit; what this rank keeps of them goes to the front of
/// gradient space, added to what earlier micro-batches left there. Adds to a program under
/// construction; references must outlive it.
class GradientSync {
  public:
    GradientSync(StepProgram& program,
                 TaskList& tasks,
                 const StageContext& stage,
                 const TrainingSetup& setup,
                 std::int64_t micro_batches);

    void join(const GradientGroups& groups) { groups_ = groups; }

    /// Elements of gradient space.
    [[nodiscard]] std::int64_t extent() const;

    /// Before the first micro-batch.
    void begin_step();

    /// Where the gradients of a unit lie, and what its backward waits for.
    struct Access {
        std::int64_t base = 0;
        std::optional<TaskId> ready;
    };

    /// Before the backward of `unit` for a micro-batch.
    [[nodiscard]] Access begin_backward(const Unit& unit);
    /// After it.
    void end_backward(const Unit& unit, std::int64_t micro_batch);
    /// After the last backward.
    void end_step();

    /// What the optimizer waits for.
    [[nodiscard]] std::optional<TaskId> last_reduced() const { return last_reduced_; }

    [[nodiscard]] std::optional<TaskId> experts_reduced() const { return experts_reduced_; }

    [[nodiscard]] std::optional<TaskId> embedding_reduced() const { return embedding_reduced_; }

  private:
    /// A buffer whose unit's gradients are on the wire.
    struct Reduction {
        Unit unit;
        TaskId task;
    };

    /// Of a unit in a buffer: the unit's base and the buffer's number.
    using Place = std::pair<std::int64_t, std::size_t>;

    [[nodiscard]] bool in_buffers() const {
        return stage_.sharding.gradients == GradientPlace::buffers;
    }

    /// What is done alike to experts that are apart and to all else.
    struct Share {
        Lane lane;
        const std::optional<ShardGroup>& group;
    };

    [[nodiscard]] Share of_all() const { return {Lane::dp, groups_.shards.all}; }

    [[nodiscard]] Share of_experts() const { return {Lane::expert_dp, groups_.shards.experts}; }

    /// Whether this rank has the only copy of experts whose gradients go from a buffer to where
    /// they are kept without being reduced or added to anything.
    [[nodiscard]] bool keeps_experts(const Unit& unit) const;
    /// What this rank keeps of a bucket of the map.
    [[nodiscard]] Slice kept_of(const Share& share, const Bucket& bucket) const;
    [[nodiscard]] std::int64_t bucket_space() const;
    [[nodiscard]] std::int64_t expert_bucket_space() const;
    void reduce_buckets(std::int64_t ready);
    /// A whole bucket, which lies or has been copied to `base`.
    [[nodiscard]] TaskId reduce_bucket(const char* name,
                                       const Share& share,
                                       std::int64_t elements,
                                       std::int64_t base);
    /// `own` gets this rank's part of the reduced `bucket`.
    After write_reduction(BlockWriter& block,
                          const Share& share,
                          const Slice& bucket,
                          const Slice& own) const;
    void write_unit_reduction(BlockWriter& block,
                              const Share& share,
                              std::span<const Bucket> buckets,
                              const Unit& unit,
                              std::size_t buffer);
    /// `kind` is gradient_add, or copy where there is nothing to add to.
    void write_keeping(BlockWriter& block,
                       ElementwiseKind kind,
                       const Share& share,
                       std::span<const Bucket> buckets,
                       const Unit& unit,
                       std::size_t buffer);

    /// Where a bucket of the map lies in a buffer.
    [[nodiscard]] Bucket place_in(std::size_t buffer, const Unit& unit, const Bucket& bucket) const;
    [[nodiscard]] BlockId reduce_unit_block(const Unit& unit, std::size_t buffer);
    [[nodiscard]] BlockId add_unit_block(const Unit& unit, std::size_t buffer);
    [[nodiscard]] BlockId keep_experts_block(const Unit& unit, std::size_t buffer);
    /// Makes buffer `number` free for compute that waits for what this returns.
    [[nodiscard]] std::optional<TaskId> empty(std::size_t number);
    [[nodiscard]] std::optional<TaskId> empty_all();
    void reduce_replicated();
    [[nodiscard]] std::optional<TaskId> reduce_replicated(const Unit& unit,
                                                          std::size_t buffer,
                                                          std::int64_t micro_batch);
    void reduce_embedding();

    StepProgram& program_;
    TaskList& tasks_;
    const StageContext& stage_;
    const TrainingSetup& setup_;
    std::int64_t micro_batches_;
    GradientGroups groups_;
    GradientBuckets buckets_;
    GradientBuckets expert_buckets_;
    UnitBuffers buffers_;
    std::vector<std::optional<Reduction>> reductions_;       ///< by buffer
    std::array<std::size_t, enum_count<UnitKind>> taken_{};  ///< buffer of the unit in backward
    std::map<Place, BlockId> reduce_blocks_;
    std::map<Place, BlockId> add_blocks_;
    std::map<Place, BlockId> keep_blocks_;
    std::optional<TaskId> last_reduced_;
    std::optional<TaskId> experts_reduced_;
    std::optional<TaskId> replicated_reduced_;
    std::optional<TaskId> embedding_reduced_;
};

}  // namespace traindyno
