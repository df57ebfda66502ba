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
               kept_elements(stage.parameters, stage.sharding),
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

void ParameterSync::gather_buckets(Phase phase, std::optional<TaskId> after) {
    if (stage_.sharding.zero == Zero::none || shards_parameters(stage_)) {
        return;
    }
    const ParameterMap& map = stage_.parameters;
    gather_buckets("gather_bucket", Lane::dp, *shards_.all, map.buckets, phase, after, all_);
    if (shards_.experts) {
        gather_buckets("gather_experts",
                       Lane::expert_dp,
                       *shards_.experts,
                       map.expert_buckets,
                       phase,
                       after,
                       experts_);
    }
}

/// Forward begins at the end of the array.
void ParameterSync::gather_buckets(const char* name,
                                   Lane lane,
                                   const ShardGroup& group,
                                   const std::vector<Bucket>& buckets,
                                   Phase phase,
                                   std::optional<TaskId> after,
                                   Share& share) {
    for (const Bucket& bucket : std::vector<Bucket>(buckets.rbegin(), buckets.rend())) {
        const Bucket whole{.offset = 0, .elements = bucket.elements};
        BlockWriter block(name, phase, stage_);
        block.communicate(lane,
                          Collective{.kind = CollectiveKind::all_gather,
                                     .group = group.group,
                                     .input = parameters_at(own_part(group, whole)),
                                     .output = parameters_at(whole),
                                     .dtype = stage_.storage});
        Task task = task_of(add_block_once(program_, block.take()), 0);
        task.parameter_base = stage_.parameters.resident(bucket.offset);
        share.gathered.push_back(tasks_.collective(std::move(task), {after}));
    }
}

ParameterSync::Access ParameterSync::begin_use(const Unit& unit) {
    if (!shards_parameters(stage_)) {
        const ParameterMap& map = stage_.parameters;
        return {.base = map.base_of(unit),
                .ready = last_gather_of(unit, map.buckets, all_),
                .experts_ready = last_gather_of(unit, map.expert_buckets, experts_)};
    }
    TD_EXPECT(next_use_ < uses_.size() && uses_[next_use_].unit == unit);
    gather_ahead();
    const Gathered& use = issued_[next_use_];
    if (!shards_.experts && !stage_.parameters.expert_buckets_of(unit).empty()) {
        copy_experts(unit, use.buffer);
    }
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
std::optional<TaskId> ParameterSync::last_gather_of(const Unit& unit,
                                                    const std::vector<Bucket>& buckets,
                                                    Share& share) const {
    const Bucket range = stage_.parameters.range_of(unit);
    const auto lowest = std::upper_bound(
        buckets.begin(), buckets.end(), range.offset, [](std::int64_t position, const Bucket& at) {
            return position < at.end();
        });
    if (share.gathered.empty() || lowest == buckets.end() || lowest->offset >= range.end()) {
        return std::nullopt;
    }
    const TaskId task = share.gathered[static_cast<std::size_t>(buckets.end() - lowest) - 1];
    if (share.waited && task <= *share.waited) {
        return std::nullopt;
    }
    share.waited = task;
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
        BlockWriter block("gather_unit", use.phase, stage_);
        write_gathering(block, Lane::dp, *shards_.all, map.buckets_of(use.unit), use, buffer);
        if (shards_.experts) {
            write_gathering(block,
                            Lane::expert_dp,
                            *shards_.experts,
                            map.expert_buckets_of(use.unit),
                            use,
                            buffer);
        }
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

void ParameterSync::write_gathering(BlockWriter& block,
                                    Lane lane,
                                    const ShardGroup& group,
                                    std::span<const Bucket> buckets,
                                    const Use& use,
                                    std::size_t buffer) {
    for (const Bucket& bucket : buckets) {
        block.set_aside(block.communicate(lane,
                                          Collective{.kind = CollectiveKind::all_gather,
                                                     .group = group.group,
                                                     .input = kept_of(group, bucket),
                                                     .output = place_in(buffer, use.unit, bucket),
                                                     .dtype = stage_.storage}));
    }
}

void ParameterSync::copy_experts(const Unit& unit, std::size_t buffer) {
    BlockWriter block("copy_experts", Phase::optimizer, stage_);
    for (const Bucket& bucket : stage_.parameters.expert_buckets_of(unit)) {
        block.elementwise(ElementwiseKind::copy,
                          1,
                          bucket.elements,
                          {kept_of(shards_.experts, bucket)},
                          {place_in(buffer, unit, bucket)});
    }
    tasks_.compute(task_of(add_block_once(program_, block.take()), 0), {});
}

Slice ParameterSync::kept_of(const std::optional<ShardGroup>& group, const Bucket& bucket) const {
    return parameters_at(kept_part(stage_.parameters, stage_.sharding, group, bucket));
}

Slice ParameterSync::place_in(std::size_t buffer, const Unit& unit, const Bucket& bucket) const {
    return parameters_at(buffers_.place(buffer, stage_.parameters.range_of(unit).offset, bucket));
}

}  // namespace traindyno
