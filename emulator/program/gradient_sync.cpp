// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_sync.hpp"

#include <algorithm>

#include "emulator/program/blocks.hpp"

namespace traindyno {

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
      buckets_(stage.parameters.parameters, setup.bucket) {}

/// Aliased layers add to one place while a bucket of it is on the wire, so buckets get a place of
/// their own there: one, since they travel one after another.
std::int64_t GradientSync::bucket_space() const {
    return setup_.memory == MemoryMode::aliased && groups_.dp
               ? std::min(bucket_elements(setup_.bucket), stage_.parameters.parameters)
               : 0;
}

std::vector<Slice> GradientSync::pieces() const {
    const ParameterMap& map = stage_.parameters;
    std::vector<Slice> pieces{{.space = Space::gradient, .offset = 0, .elements = map.elements}};
    const Slice layer{
        .space = Space::gradient, .offset = map.output_elements, .elements = map.layer.elements};
    pieces.insert(pieces.end(), static_cast<std::size_t>(map.layers - map.resident_layers), layer);
    return pieces;
}

void GradientSync::zero() {
    BlockWriter block("zero_gradients", Phase::optimizer, stage_);
    for (const Slice& gradients : pieces()) {
        block.elementwise(ElementwiseKind::zero, 1, gradients.elements, {}, {gradients});
    }
    tasks_.compute(task_of(add_block(program_, block.take()), 0), {});
}

void GradientSync::ready(std::int64_t micro_batch, std::int64_t ready) {
    if (setup_.overlap_gradients == Overlap::on && micro_batch == micro_batches_ - 1) {
        reduce_buckets(ready);
    }
}

void GradientSync::finish() {
    reduce_buckets(stage_.parameters.parameters);
    if (groups_.embedding) {
        reduce_embedding();
    }
}

void GradientSync::reduce_buckets(std::int64_t ready) {
    if (!groups_.dp) {
        return;
    }
    for (const GradientBucket& bucket : buckets_.complete_up_to(ready)) {
        BlockWriter block("reduce_bucket", Phase::backward, stage_);
        block.communicate(Lane::dp,
                          all_reduce_in_place(
                              *groups_.dp,
                              {.space = Space::gradient, .offset = 0, .elements = bucket.elements},
                              DType::fp32));
        Task task = task_of(add_block_once(program_, block.take()), micro_batches_ - 1);
        task.parameter_base = bucket_space() > 0 ? stage_.parameters.elements : bucket.offset;
        last_bucket_ = tasks_.collective(std::move(task), {tasks_.last_compute()});
    }
}

void GradientSync::reduce_embedding() {
    const ParameterMap& map = stage_.parameters;
    const Slice& table = map.table.elements > 0 ? map.table : map.output_table;
    BlockWriter block("reduce_embedding", Phase::backward, stage_);
    block.communicate(Lane::embedding,
                      all_reduce_in_place(*groups_.embedding, gradient_of(table), DType::fp32));
    embedding_reduced_ = tasks_.collective(task_of(add_block(program_, block.take()), 0),
                                           {last_bucket_ ? last_bucket_ : tasks_.last_compute()});
}

}  // namespace traindyno
