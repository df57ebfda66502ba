// SPDX-License-Identifier: Apache-2.0
// Gathers the parameters of a stage that data-parallel ranks hold in shards.
#pragma once

#include <map>
#include <optional>
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

    void join(const std::optional<ShardGroup>& group) { group_ = group; }

    void begin_step();

    /// Where the weights of a use lie, and what it waits for.
    struct Access {
        std::int64_t base = 0;
        std::optional<TaskId> ready;
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

    void gather_buckets(Phase phase, std::optional<TaskId> after);
    void gather_ahead();
    [[nodiscard]] BlockId block_of(const Use& use, std::size_t buffer);
    [[nodiscard]] std::optional<TaskId> last_gather_of(const Unit& unit);

    StepProgram& program_;
    TaskList& tasks_;
    const StageContext& stage_;
    const TrainingSetup& setup_;
    std::vector<Use> uses_;
    std::optional<ShardGroup> group_;
    // ZeRO 1 and 2.
    std::vector<TaskId> gathered_;  ///< gathering of each bucket of the map, last bucket first
    std::optional<TaskId> waited_;  ///< latest gathering that compute has waited for
    // ZeRO 3.
    UnitBuffers buffers_;
    std::vector<Gathered> issued_;  ///< of uses from the first on
    std::size_t next_use_ = 0;
    /// By the unit's base, buffer and phase.
    std::map<std::tuple<std::int64_t, std::size_t, Phase>, BlockId> blocks_;
};

}  // namespace traindyno
