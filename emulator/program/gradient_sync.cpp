// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_sync.hpp"

#include <algorithm>

#include "emulator/program/blocks.hpp"
#include "emulator/program/replicated_gradients.hpp"

namespace traindyno {

namespace {

Slice gradients_at(std::int64_t offset, std::int64_t elements) {
    return {.space = Space::gradient, .offset = offset, .elements = elements};
}

/// One is filled while the other is on the wire.
std::int64_t buffers_of_layers(const TrainingSetup& setup) {
    return setup.overlap_gradients == Overlap::on ? 2 : 1;
}

std::int64_t largest_of(const std::vector<Bucket>& buckets) {
    std::int64_t largest = 0;
    for (const Bucket& bucket : buckets) {
        largest = std::max(largest, bucket.elements);
    }
    return largest;
}

}  // namespace

GradientSync::GradientSync(StepProgram& program,
                           TaskList& tasks,
                           const StageContext& stage,
                           const TrainingSetup& setup,
                           std::int64_t micro_batches)
    : program_(program),
      tasks_(tasks),
      stage_(stage),
      setup_(setup),
      micro_batches_(micro_batches),
      buckets_(stage.parameters.buckets),
      expert_buckets_(stage.parameters.expert_buckets),
      buffers_(stage.parameters,
               stage.parameters.elements / stage.sharding.ranks,
               buffers_of_layers(setup)),
      reductions_(buffers_.all().size()) {}

std::int64_t GradientSync::extent() const {
    return in_buffers() ? buffers_.end()
                        : stage_.parameters.elements + bucket_space() + expert_bucket_space() +
                              replicated_gradients(stage_);
}

/// Aliased layers add to one place while a bucket of it is on the wire, so buckets get a place of
/// their own there: one, since they travel one after another.
std::int64_t GradientSync::bucket_space() const {
    if (setup_.memory != MemoryMode::aliased || !groups_.dp) {
        return 0;
    }
    return largest_of(stage_.parameters.buckets);
}

std::int64_t GradientSync::expert_bucket_space() const {
    return bucket_space() > 0 ? largest_of(stage_.parameters.expert_buckets) : 0;
}

/// In aliased memory the place of the layers counts as often as there are layers.
void GradientSync::begin_step() {
    const ParameterMap& map = stage_.parameters;
    if (in_buffers() && !stage_.sharding.accumulates) {
        return;
    }
    const std::int64_t ranks = in_buffers() ? stage_.sharding.ranks : 1;
    std::vector<Slice> pieces{gradients_at(0, map.elements / ranks)};
    for (const Bucket& layer : map.shared_places()) {
        pieces.push_back(gradients_at(layer.offset / ranks, layer.elements / ranks));
    }
    BlockWriter block("zero_gradients", Phase::optimizer, stage_);
    for (const Slice& gradients : pieces) {
        block.elementwise(ElementwiseKind::zero, 1, gradients.elements, {}, {gradients});
    }
    tasks_.compute(task_of(add_block(program_, block.take()), 0), {});
}

GradientSync::Access GradientSync::begin_backward(const Unit& unit) {
    const ParameterMap& map = stage_.parameters;
    const UnitKind kind = unit.kind == UnitKind::head ? map.head_unit : unit.kind;
    if (!in_buffers()) {
        return {.base = map.base_of({.kind = kind, .layer = unit.layer}), .ready = std::nullopt};
    }
    std::optional<TaskId> ready =
        setup_.overlap_gradients == Overlap::off ? empty_all() : std::nullopt;
    std::size_t& number = taken_[static_cast<std::size_t>(kind)];
    if (!buffers_.next(kind).taken) {  // else the head of this micro-batch has begun the unit
        number = buffers_.take(kind);
        const std::optional<TaskId> free = empty(number);
        ready = free ? free : ready;
        const std::int64_t elements = map.range_of({.kind = kind, .layer = unit.layer}).elements;
        BlockWriter block("zero_unit", Phase::optimizer, stage_);
        block.elementwise(ElementwiseKind::zero, 1, elements, {}, {gradients_at(0, elements)});
        Task task = task_of(add_block_once(program_, block.take()), 0);
        task.gradient_shift = buffers_.at(number).base;
        tasks_.compute(std::move(task), {ready});
    }
    return {.base = buffers_.at(number).base, .ready = ready};
}

void GradientSync::end_backward(const Unit& unit, std::int64_t micro_batch) {
    if (!in_buffers()) {
        if (setup_.overlap_gradients == Overlap::on && micro_batch == micro_batches_ - 1) {
            reduce_buckets(stage_.parameters.final_after(unit));
        }
        return;
    }
    if (unit.kind == UnitKind::head && stage_.parameters.head_unit != UnitKind::head) {
        return;  // the embedding's backward completes the unit
    }
    const std::size_t number = taken_[static_cast<std::size_t>(unit.kind)];
    buffers_.at(number).taken = false;
    std::optional<TaskId> complete = tasks_.last_compute();
    if (stage_.sequence_parallel()) {
        complete = reduce_replicated(unit, number, micro_batch).value_or(*complete);
    }
    last_reduced_ =
        tasks_.collective(task_of(reduce_unit_block(unit, number), micro_batch), {complete});
    reductions_[number] = Reduction{.unit = unit, .task = *last_reduced_};
}

void GradientSync::end_step() {
    reduce_buckets(stage_.parameters.parameters);
    (void)empty_all();
    if (stage_.sequence_parallel() && !in_buffers()) {
        reduce_replicated();
    }
    if (groups_.embedding) {
        reduce_embedding();
    }
}

void GradientSync::reduce_buckets(std::int64_t ready) {
    if (!groups_.dp || in_buffers()) {
        return;
    }
    for (const Bucket& bucket : buckets_.complete_up_to(ready)) {
        const Bucket own =
            own_part(stage_.sharding, groups_.dp->rank, {.offset = 0, .elements = bucket.elements});
        BlockWriter block("reduce_bucket", Phase::backward, stage_);
        write_reduction(
            block, gradients_at(0, bucket.elements), gradients_at(own.offset, own.elements));
        Task task = task_of(add_block_once(program_, block.take()), micro_batches_ - 1);
        task.parameter_base = bucket_space() > 0 ? stage_.parameters.elements : bucket.offset;
        last_reduced_ = tasks_.collective(std::move(task), {tasks_.last_compute()});
    }
    reduce_experts(ready);
}

/// Experts whose only copy this rank has are not reduced.
void GradientSync::reduce_experts(std::int64_t ready) {
    if (!groups_.expert_dp) {
        return;
    }
    for (const Bucket& bucket : expert_buckets_.complete_up_to(ready)) {
        BlockWriter block("reduce_experts", Phase::backward, stage_);
        block.communicate(
            Lane::expert_dp,
            all_reduce_in_place(
                *groups_.expert_dp, gradients_at(0, bucket.elements), stage_.gradient));
        Task task = task_of(add_block_once(program_, block.take()), micro_batches_ - 1);
        task.parameter_base =
            bucket_space() > 0 ? stage_.parameters.elements + bucket_space() : bucket.offset;
        experts_reduced_ = tasks_.collective(std::move(task), {tasks_.last_compute()});
    }
}

void GradientSync::write_reduction(BlockWriter& block,
                                   const Slice& bucket,
                                   const Slice& own) const {
    if (stage_.sharding.zero == Zero::none) {
        block.communicate(Lane::dp,
                          all_reduce_in_place(groups_.dp->group, bucket, stage_.gradient));
        return;
    }
    block.communicate(Lane::dp,
                      Collective{.kind = CollectiveKind::reduce_scatter,
                                 .group = groups_.dp->group,
                                 .input = bucket,
                                 .output = own,
                                 .dtype = stage_.gradient});
    if (groups_.dp->replicas) {
        block.communicate(Lane::dp_replicate,
                          all_reduce_in_place(*groups_.dp->replicas, own, stage_.gradient));
    }
}

Slice GradientSync::kept_of(std::int64_t position, std::int64_t elements) const {
    return gradients_at(position / stage_.sharding.ranks, elements / stage_.sharding.ranks);
}

Slice GradientSync::own_part_in(const Bucket& bucket, std::int64_t unit_begin, std::size_t buffer) {
    const Bucket there{.offset = buffers_.at(buffer).base + bucket.offset - unit_begin,
                       .elements = bucket.elements};
    const Bucket own = own_part(stage_.sharding, groups_.dp->rank, there);
    return gradients_at(own.offset, own.elements);
}

/// What is kept of a single micro-batch need not be added to anything.
BlockId GradientSync::reduce_unit_block(const Unit& unit, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] = reduce_blocks_.try_emplace({map.base_of(unit), buffer}, BlockId{});
    if (is_new) {
        const std::int64_t begin = map.range_of(unit).offset;
        BlockWriter block("reduce_unit", Phase::backward, stage_);
        for (const Bucket& bucket : map.buckets_of(unit)) {
            const Slice whole =
                gradients_at(buffers_.at(buffer).base + bucket.offset - begin, bucket.elements);
            write_reduction(block,
                            whole,
                            stage_.sharding.accumulates
                                ? own_part_in(bucket, begin, buffer)
                                : kept_of(map.resident(bucket.offset), bucket.elements));
        }
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

BlockId GradientSync::add_unit_block(const Unit& unit, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] = add_blocks_.try_emplace({map.base_of(unit), buffer}, BlockId{});
    if (is_new) {
        BlockWriter block("add_unit", Phase::optimizer, stage_);
        for (const Bucket& bucket : map.buckets_of(unit)) {
            const Slice kept = kept_of(map.resident(bucket.offset), bucket.elements);
            block.elementwise(ElementwiseKind::gradient_add,
                              1,
                              kept.elements,
                              {kept, own_part_in(bucket, map.range_of(unit).offset, buffer)},
                              {kept});
        }
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

std::optional<TaskId> GradientSync::empty(std::size_t number) {
    const std::optional<Reduction> reduction = std::exchange(reductions_[number], std::nullopt);
    if (!reduction) {
        return std::nullopt;
    }
    if (!stage_.sharding.accumulates) {
        return reduction->task;
    }
    return tasks_.compute(task_of(add_unit_block(reduction->unit, number), 0), {reduction->task});
}

/// The latest reduction is complete last.
std::optional<TaskId> GradientSync::empty_all() {
    std::vector<std::pair<TaskId, std::size_t>> order;
    for (std::size_t number = 0; number < reductions_.size(); ++number) {
        if (reductions_[number]) {
            order.emplace_back(reductions_[number]->task, number);
        }
    }
    std::sort(order.begin(), order.end());
    std::optional<TaskId> last;
    for (const auto& [task, number] : order) {
        last = empty(number);
    }
    return last;
}

/// After the data-parallel reduction and before that of the embedding, as Megatron-LM
/// (finalize_model_grads).
void GradientSync::reduce_replicated() {
    const Slice packed{.space = Space::gradient,
                       .offset = stage_.parameters.elements + bucket_space(),
                       .elements = replicated_gradients(stage_)};
    Block block = reduce_replicated_gradients(stage_, packed);
    replicated_reduced_ =
        tasks_.compute(task_of(add_block(program_, std::move(block)), 0), {last_reduced_});
}

/// Before data parallelism takes the unit's gradients apart. Nothing where the unit has none.
std::optional<TaskId> GradientSync::reduce_replicated(const Unit& unit,
                                                      std::size_t buffer,
                                                      std::int64_t micro_batch) {
    Block block = reduce_replicated_gradients(stage_, unit);
    if (block.ops.empty()) {
        return std::nullopt;
    }
    Task task = task_of(add_block_once(program_, std::move(block)), micro_batch);
    task.gradient_shift = buffers_.at(buffer).base;
    return tasks_.collective(std::move(task), {tasks_.last_compute()});
}

/// The table of the other stage is cut in the same places: its shard is this one's.
void GradientSync::reduce_embedding() {
    const ParameterMap& map = stage_.parameters;
    const bool first = map.table.elements > 0;
    const Slice& table = first ? map.table : map.output_table;
    const std::int64_t begin =
        map.base_of({.kind = first ? UnitKind::embedding : UnitKind::head}) + table.offset;
    const Slice reduced =
        in_buffers() ? kept_of(begin,
                               stage_.sharding.own_table ? stage_.sharding.padded(table.elements)
                                                         : table.elements)
                     : gradients_at(begin, table.elements);
    BlockWriter block("reduce_embedding", Phase::backward, stage_);
    block.communicate(Lane::embedding,
                      all_reduce_in_place(*groups_.embedding, reduced, stage_.gradient));
    const bool added = !last_reduced_ || stage_.sharding.accumulates || replicated_reduced_;
    embedding_reduced_ = tasks_.collective(task_of(add_block(program_, block.take()), 0),
                                           {added ? tasks_.last_compute() : last_reduced_});
}

}  // namespace traindyno
