// SPDX-License-Identifier: Apache-2.0
// Gathers the parameters of a stage that data-parallel ranks hold in shards.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "emulator/program/block_writer.hpp"
#include "emulator/program/shard_group.hpp"
#include "emulator/program/task_list.hpp"
#include "emulator/program/unit_buffers.hpp"

namespace traindyno {

/// ZeRO 1 and 2 gather every bucket once a step: before forward, which waits for what it needs, or
/// at the end (Megatron-LM's overlap of the parameter gathering, and its absence). What the step
/// gathers first is what the one before it has updated. ZeRO 3 gathers each unit before every use,
/// up to `prefetch` uses ahead. Adds to a program under construction; references must outlive it.
class ParameterSync {
  public:
    struct Use {
        Unit unit;
        Phase phase = Phase::forward;
    };

    /// `uses` are all uses of units in the step, in order.
    ParameterSync(StepProgram& program,
                  TaskList& tasks,
                  const StageContext& stage,
                  const TrainingSetup& setup,
                  std::vector<Use> uses);

    /// Elements of parameter space.
    [[nodiscard]] std::int64_t extent() const;

    void join(const StageShards& shards) { shards_ = shards; }

    void begin_step();

    /// Where the weights of a use lie, and what it waits for.
    struct Access {
        std::int64_t base = 0;
        std::optional<TaskId> ready;
        std::optional<TaskId> experts_ready{};  ///< where those are gathered apart
    };

    /// Uses come in the order given; each ends before the next one begins.
    [[nodiscard]] Access begin_use(const Unit& unit);
    void end_use(TaskId last);

    /// `optimizer` has updated the shards.
    void end_step(TaskId optimizer);

  private:
    /// A use of ZeRO 3 whose gathering has been issued.
    struct Gathered {
        std::size_t buffer = 0;
        std::optional<TaskId> task;
    };

    /// Buckets that ranks of one group share, in ZeRO 1 and 2.
    struct Share {
        std::vector<TaskId> gathered;  ///< each of them, last bucket first
        std::optional<TaskId> waited;  ///< latest gathering that compute has waited for
    };

    void gather_buckets(Phase phase, std::optional<TaskId> after);
    void gather_buckets(const char* name,
                        Lane lane,
                        const ShardGroup& group,
                        const std::vector<Bucket>& buckets,
                        Phase phase,
                        std::optional<TaskId> after,
                        Share& share);
    void gather_ahead();
    [[nodiscard]] BlockId block_of(const Use& use, std::size_t buffer);
    void write_gathering(BlockWriter& block,
                         Lane lane,
                         const ShardGroup& group,
                         std::span<const Bucket> buckets,
                         const Use& use,
                         std::size_t buffer);
    /// Experts that nobody shares are copied to where all else is gathered.
    void copy_experts(const Unit& unit, std::size_t buffer);
    [[nodiscard]] std::optional<TaskId> last_gather_of(const Unit& unit,
                                                       const std::vector<Bucket>& buckets,
                                                       Share& share) const;
    /// What is kept of a bucket of the map, and where it lies in a buffer.
    [[nodiscard]] Slice kept_of(const std::optional<ShardGroup>& group, const Bucket& bucket) const;
    [[nodiscard]] Slice place_in(std::size_t buffer, const Unit& unit, const Bucket& bucket) const;

    StepProgram& program_;
    TaskList& tasks_;
    const StageContext& stage_;
    const TrainingSetup& setup_;
    std::vector<Use> uses_;
    StageShards shards_;
    // ZeRO 1 and 2.
    Share all_;
    Share experts_;
    // ZeRO 3.
    UnitBuffers buffers_;
    std::vector<Gathered> issued_;  ///< of uses from the first on
    std::size_t next_use_ = 0;
    /// By the unit's base, buffer and phase.
    std::map<std::tuple<std::int64_t, std::size_t, Phase>, BlockId> blocks_;
};

}  // namespace traindyno
