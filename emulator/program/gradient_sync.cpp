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

/// One is filled while the other is on the wire, if there is another.
std::int64_t buffers_of_layers(const StageContext& stage,
                               const TrainingSetup& setup,
                               std::int64_t micro_batches) {
    return setup.overlap_gradients == Overlap::on && stage.parameters.layers * micro_batches > 1
               ? 2
               : 1;
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
               kept_elements(stage.parameters, stage.sharding),
               buffers_of_layers(stage, setup, micro_batches)),
      reductions_(buffers_.all().size()) {}

std::int64_t GradientSync::extent() const {
    return in_buffers() ? buffers_.end()
                        : stage_.parameters.elements + bucket_space() + expert_bucket_space() +
                              replicated_gradients(stage_);
}

/// Aliased layers add to one place while a bucket of it is on the wire, so buckets get a place of
/// their own there: one, since they travel one after another.
std::int64_t GradientSync::bucket_space() const {
    if (setup_.memory != MemoryMode::aliased || !groups_.shards.all) {
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
    std::vector<Slice> pieces;
    const auto add = [&](const Bucket& place) {
        const auto at = [&](std::int64_t position) {
            return in_buffers() ? kept_at(map, stage_.sharding, position) : position;
        };
        pieces.push_back(gradients_at(at(place.offset), at(place.end()) - at(place.offset)));
    };
    add({.offset = 0, .elements = map.elements});
    for (const Bucket& layer : map.shared_places()) {
        add(layer);
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
    if (keeps_experts(unit)) {
        tasks_.compute(task_of(keep_experts_block(unit, number), 0), {});
    }
    last_reduced_ =
        tasks_.collective(task_of(reduce_unit_block(unit, number), micro_batch), {complete});
    if (!stage_.parameters.expert_buckets_of(unit).empty()) {
        experts_reduced_ = last_reduced_;
    }
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

/// Experts whose only copy this rank has are not reduced.
void GradientSync::reduce_buckets(std::int64_t ready) {
    if (!groups_.shards.all || in_buffers()) {
        return;
    }
    const std::int64_t apart = stage_.parameters.elements;
    for (const Bucket& bucket : buckets_.complete_up_to(ready)) {
        last_reduced_ = reduce_bucket(
            "reduce_bucket", of_all(), bucket.elements, bucket_space() > 0 ? apart : bucket.offset);
    }
    if (!groups_.shards.experts) {
        return;
    }
    for (const Bucket& bucket : expert_buckets_.complete_up_to(ready)) {
        experts_reduced_ =
            reduce_bucket("reduce_experts",
                          of_experts(),
                          bucket.elements,
                          bucket_space() > 0 ? apart + bucket_space() : bucket.offset);
    }
}

TaskId GradientSync::reduce_bucket(const char* name,
                                   const Share& share,
                                   std::int64_t elements,
                                   std::int64_t base) {
    const Bucket own = own_part(share.group, {.offset = 0, .elements = elements});
    BlockWriter block(name, Phase::backward, stage_);
    write_reduction(
        block, share, gradients_at(0, elements), gradients_at(own.offset, own.elements));
    Task task = task_of(add_block_once(program_, block.take()), micro_batches_ - 1);
    task.parameter_base = base;
    return tasks_.collective(std::move(task), {tasks_.last_compute()});
}

After GradientSync::write_reduction(BlockWriter& block,
                                    const Share& share,
                                    const Slice& bucket,
                                    const Slice& own) const {
    if (stage_.sharding.zero == Zero::none) {
        return block.communicate(share.lane,
                                 all_reduce_in_place(share.group->group, bucket, stage_.gradient));
    }
    const After scattered = block.communicate(share.lane,
                                              Collective{.kind = CollectiveKind::reduce_scatter,
                                                         .group = share.group->group,
                                                         .input = bucket,
                                                         .output = own,
                                                         .dtype = stage_.gradient});
    return share.group->replicas
               ? block.communicate(
                     Lane::dp_replicate,
                     all_reduce_in_place(*share.group->replicas, own, stage_.gradient))
               : scattered;
}

bool GradientSync::keeps_experts(const Unit& unit) const {
    return !stage_.sharding.accumulates && !groups_.shards.experts &&
           !stage_.parameters.expert_buckets_of(unit).empty();
}

Slice GradientSync::kept_of(const Share& share, const Bucket& bucket) const {
    const Bucket kept = kept_part(stage_.parameters, stage_.sharding, share.group, bucket);
    return gradients_at(kept.offset, kept.elements);
}

Bucket GradientSync::place_in(std::size_t buffer, const Unit& unit, const Bucket& bucket) const {
    return buffers_.place(buffer, stage_.parameters.range_of(unit).offset, bucket);
}

/// What is kept of a single micro-batch need not be added to anything.
void GradientSync::write_unit_reduction(BlockWriter& block,
                                        const Share& share,
                                        std::span<const Bucket> buckets,
                                        const Unit& unit,
                                        std::size_t buffer) {
    for (const Bucket& bucket : buckets) {
        const Bucket whole = place_in(buffer, unit, bucket);
        const Bucket own = own_part(share.group, whole);
        const After reduced =
            write_reduction(block,
                            share,
                            gradients_at(whole.offset, whole.elements),
                            stage_.sharding.accumulates ? gradients_at(own.offset, own.elements)
                                                        : kept_of(share, bucket));
        if (stage_.sharding.experts_apart) {
            block.set_aside(reduced);  // they go another way than all else
        }
    }
}

BlockId GradientSync::reduce_unit_block(const Unit& unit, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] = reduce_blocks_.try_emplace({map.base_of(unit), buffer}, BlockId{});
    if (is_new) {
        BlockWriter block("reduce_unit", Phase::backward, stage_);
        write_unit_reduction(block, of_all(), map.buckets_of(unit), unit, buffer);
        if (groups_.shards.experts) {
            write_unit_reduction(block, of_experts(), map.expert_buckets_of(unit), unit, buffer);
        }
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

void GradientSync::write_keeping(BlockWriter& block,
                                 ElementwiseKind kind,
                                 const Share& share,
                                 std::span<const Bucket> buckets,
                                 const Unit& unit,
                                 std::size_t buffer) {
    for (const Bucket& bucket : buckets) {
        const Slice kept = kept_of(share, bucket);
        const Bucket own = own_part(share.group, place_in(buffer, unit, bucket));
        std::vector<Slice> reads{gradients_at(own.offset, own.elements)};
        if (kind == ElementwiseKind::gradient_add) {
            reads.insert(reads.begin(), kept);
        }
        block.elementwise(kind, 1, kept.elements, std::move(reads), {kept});
    }
}

BlockId GradientSync::add_unit_block(const Unit& unit, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] = add_blocks_.try_emplace({map.base_of(unit), buffer}, BlockId{});
    if (is_new) {
        constexpr ElementwiseKind kind = ElementwiseKind::gradient_add;
        BlockWriter block("add_unit", Phase::optimizer, stage_);
        write_keeping(block, kind, of_all(), map.buckets_of(unit), unit, buffer);
        write_keeping(block, kind, of_experts(), map.expert_buckets_of(unit), unit, buffer);
        known->second = add_block(program_, block.take());
    }
    return known->second;
}

BlockId GradientSync::keep_experts_block(const Unit& unit, std::size_t buffer) {
    const ParameterMap& map = stage_.parameters;
    const auto [known, is_new] = keep_blocks_.try_emplace({map.base_of(unit), buffer}, BlockId{});
    if (is_new) {
        BlockWriter block("keep_experts", Phase::optimizer, stage_);
        write_keeping(
            block, ElementwiseKind::copy, of_experts(), map.expert_buckets_of(unit), unit, buffer);
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
    const Slice reduced = in_buffers()
                              ? kept_of(of_all(),
                                        {.offset = begin,
                                         .elements = stage_.sharding.own_table
                                                         ? stage_.sharding.padded(table.elements)
                                                         : table.elements})
                              : gradients_at(begin, table.elements);
    BlockWriter block("reduce_embedding", Phase::backward, stage_);
    block.communicate(Lane::embedding,
                      all_reduce_in_place(*groups_.embedding, reduced, stage_.gradient));
    const bool added = !last_reduced_ || stage_.sharding.accumulates || replicated_reduced_;
    embedding_reduced_ = tasks_.collective(task_of(add_block(program_, block.take()), 0),
                                           {added ? tasks_.last_compute() : last_reduced_});
}

}  // namespace traindyno
