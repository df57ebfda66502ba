// SPDX-License-Identifier: Apache-2.0
// Reduces the gradients of a stage over data-parallel ranks, and tied embeddings over stages.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/block_writer.hpp"
#include "emulator/program/gradient_buckets.hpp"
#include "emulator/program/task_list.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Groups that gradients are reduced in; absent where they have one rank.
struct GradientGroups {
    std::optional<GroupId> dp;
    std::optional<GroupId> embedding;
};

/// Adds to a program under construction; references must outlive it.
class GradientSync {
  public:
    GradientSync(StepProgram& program,
                 TaskList& tasks,
                 const StageContext& stage,
                 const TrainingSetup& setup,
                 std::int64_t micro_batches);

    void join(const GradientGroups& groups) { groups_ = groups; }

    /// Elements that buckets need beside the gradients.
    [[nodiscard]] std::int64_t bucket_space() const;

    void zero();
    /// Gradients before `ready` will not change any more if `micro_batch` is the last.
    void ready(std::int64_t micro_batch, std::int64_t ready);
    /// After the last backward.
    void finish();

    /// The gradients of the stage, in pieces that each lie in one place. In aliased memory the
    /// place of the layers counts as often as there are layers.
    [[nodiscard]] std::vector<Slice> pieces() const;

    [[nodiscard]] std::optional<TaskId> last_bucket() const { return last_bucket_; }

    [[nodiscard]] std::optional<TaskId> embedding_reduced() const { return embedding_reduced_; }

  private:
    void reduce_buckets(std::int64_t ready);
    void reduce_embedding();

    StepProgram& program_;
    TaskList& tasks_;
    const StageContext& stage_;
    const TrainingSetup& setup_;
    std::int64_t micro_batches_;
    GradientGroups groups_;
    GradientBuckets buckets_;
    std::optional<TaskId> last_bucket_;
    std::optional<TaskId> embedding_reduced_;
};

}  // namespace traindyno
