// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/parameter_sync.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"
#include "emulator/program/blocks.hpp"

namespace traindyno {

namespace {

bool shards_parameters(const StageContext& stage) {
    return stage.sharding.zero == Zero::parameters;
}

Slice parameters_at(const Bucket& bucket) {
    return {.space = Space::parameter, .offset = bucket.offset, .elements = bucket.elements};
}

std::int64_t buffers_of_layers(const StageContext& stage, const TrainingSetup& setup) {
    return setup.overlap_parameters == Overlap::off
               ? 1
               : std::min(setup.prefetch, stage.parameters.layers) + 1;
}

}  // namespace

ParameterSync::ParameterSync(StepProgram& program,
                             TaskList& tasks,
                             const StageContext& stage,
                             const TrainingSetup& setup,
                             std::vector<Use> uses)
    : program_(program),
      tasks_(tasks),
      stage_(stage),
      setup_(setup),
      uses_(std::move(uses)),
      buffers_(stage.parameters,
               stage.parameters.elements / stage.sharding.ranks,
               buffers_of_layers(stage, setup)) {}

std::int64_t ParameterSync::extent() const {
    return shards_parameters(stage_) ? buffers_.end() : stage_.parameters.elements;
}

void ParameterSync::begin_step() {
    if (setup_.overlap_parameters == Overlap::on) {
        gather_buckets(Phase::forward, std::nullopt);
    }
}

void ParameterSync::end_step(TaskId optimizer) {
    if (setup_.overlap_parameters == Overlap::off) {
        gather_buckets(Phase::optimizer, optimizer);
    }
}

/// Forward begins at the end of the array.
void ParameterSync::gather_buckets(Phase phase, std::optional<TaskId> after) {
    const Sharding& sharding = stage_.sharding;
    if (sharding.zero == Zero::none || shards_parameters(stage_)) {
        return;
    }
    const std::vector<Bucket>& buckets = stage_.parameters.buckets;
    for (const Bucket& bucket : std::vector<Bucket>(buckets.rbegin(), buckets.rend())) {
        const Bucket whole{.offset = 0, .elements = bucket.elements};
        BlockWriter block("gather_bucket", phase, stage_);
        block.communicate(
            Lane::dp,
            Collective{.kind = CollectiveKind::all_gather,
                       .group = group_->group,
                       .input = parameters_at(own_part(sharding, group_->rank, whole)),
                       .output = parameters_at(whole),
                       .dtype = stage_.storage});
        Task task = task_of(add_block_once(program_, block.take()), 0);
        task.parameter_base = stage_.parameters.resident(bucket.offset);
        gathered_.push_back(tasks_.collective(std::move(task), {after}));
    }
}

ParameterSync::Access ParameterSync::begin_use(const Unit& unit) {
    if (!shards_parameters(stage_)) {
        return {.base = stage_.parameters.base_of(unit), .ready = last_gather_of(unit)};
    }
    TD_EXPECT(next_use_ < uses_.size() && uses_[next_use_].unit == unit);
    gather_ahead();
    const Gathered& use = issued_[next_use_];
    return {.base = buffers_.at(use.buffer).base, .ready = use.task};
}

void ParameterSync::end_use(TaskId last) {
    if (shards_parameters(stage_)) {
        UnitBuffers::Buffer& buffer = buffers_.at(issued_[next_use_++].buffer);
        buffer.last_user = last;
        buffer.taken = false;
    }
}

/// The lane runs in order, as compute does: only what is later than all waits so far is new.
std::optional<TaskId> ParameterSync::last_gather_of(const Unit& unit) {
    const Bucket range = stage_.parameters.range_of(unit);
    if (gathered_.empty() || range.elements == 0) {
        return std::nullopt;
    }
    const std::vector<Bucket>& buckets = stage_.parameters.buckets;
    const auto lowest = std::upper_bound(
        buckets.begin(), buckets.end(), range.offset, [](std::int64_t position, const Bucket& at) {
            return position < at.end();
        });
    const TaskId task = gathered_[static_cast<std::size_t>(buckets.end() - lowest) - 1];
    if (waited_ && task <= *waited_) {
        return std::nullopt;
    }
    waited_ = task;
    return task;
}

void ParameterSync::gather_ahead() {
    const bool overlap = setup_.overlap_parameters == Overlap::on;
    const std::size_t last = next_use_ + (overlap ? static_cast<std::size_t>(setup_.prefetch) : 0);
    while (issued_.size() < uses_.size() && issued_.size() <= last) {
        const Use& use = uses_[issued_.size()];
        const UnitBuffers::Buffer& buffer = buffers_.next(use.unit.kind);
        if (buffer.taken) {
            break;
        }
        const std::optional<TaskId> free = overlap ? buffer.last_user : tasks_.last_compute();
        const std::size_t number = buffers_.take(use.unit.kind);
        Task task = task_of(block_of(use, number), 0);
        issued_.push_back({.buffer = number, .task = tasks_.collective(std::move(task), {free})});
    }
    TD_EXPECT(next_use_ < issued_.size());
}

BlockId ParameterSync::block_of(const Use& use, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] =
        blocks_.try_emplace({map.base_of(use.unit), buffer, use.phase}, BlockId{});
    if (is_new) {
        const std::int64_t from = map.range_of(use.unit).offset;
        BlockWriter block("gather_unit", use.phase, stage_);
        for (const Bucket& bucket : map.buckets_of(use.unit)) {
            const Bucket whole{.offset = buffers_.at(buffer).base + bucket.offset - from,
                               .elements = bucket.elements};
            const Bucket kept{.offset = map.resident(bucket.offset) / stage_.sharding.ranks,
                              .elements = bucket.elements / stage_.sharding.ranks};
            block.communicate(Lane::dp,
                              Collective{.kind = CollectiveKind::all_gather,
                                         .group = group_->group,
                                         .input = parameters_at(kept),
                                         .output = parameters_at(whole),
                                         .dtype = stage_.storage});
        }
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

}  // namespace traindyno
