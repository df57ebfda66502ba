// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_builder.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"
#include "emulator/program/build.hpp"

namespace traindyno {

namespace {

StageContext context_of(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        Stage stage,
                        std::optional<GroupId> tp) {
    const LocalShape shape = local_shape(model, layout, setup);
    return {.shape = shape,
            .parameters = parameter_map(model, layout, shape, stage, setup.memory),
            .storage = storage_type(setup.precision),
            .recompute = setup.recompute,
            .mlp = model.gated_mlp ? Mlp::swiglu : Mlp::gelu,
            .positions = model.positions,
            .tp = tp};
}

Task task_of(BlockId block, std::int64_t micro_batch) {
    Task task;
    task.block = block;
    task.micro_batch = MicroBatch{micro_batch};
    return task;
}

Stage stage_of(const Layout& layout, WorldRank rank) {
    return Stage{coordinates_of(layout, rank).pp};
}

}  // namespace

StepBuilder::StepBuilder(const Model& model,
                         const Layout& layout,
                         const TrainingSetup& setup,
                         WorldRank rank)
    : layout_(layout),
      setup_(setup),
      stage_(stage_of(layout, rank).value()),
      micro_batches_(micro_batches(layout, setup)),
      program_{.rank = rank,
               .stage = Stage{stage_},
               .precision = setup.precision,
               .extents = {},
               .groups = {},
               .blocks = {},
               .tasks = {}},
      tp_(join(GroupKind::tp)),
      dp_(join(GroupKind::dp)),
      pp_(join(GroupKind::pp)),
      embedding_(model.tied_embeddings ? join(GroupKind::embedding) : std::nullopt),
      model_group_(join(GroupKind::model)),
      context_(context_of(model, layout, setup, Stage{stage_}, tp_)),
      buffers_(context_, layout, setup, Stage{stage_}, micro_batches_),
      scalars_(place_scalars(context_, last())),
      milestones_(static_cast<std::size_t>(micro_batches_)),
      buckets_(context_.parameters.parameters, setup.bucket),
      tasks_(setup.overlap_p2p) {
    program_.extents = {.parameter = context_.parameters.elements + bucket_space(),
                        .saved = buffers_.saved_extent(),
                        .workspace = buffers_.scratch().end(),
                        .scalar = scalars_.elements};
}

StepProgram StepBuilder::build() {
    write_edge_blocks();
    zero_gradients();
    for (const Pass& pass : passes_of(setup_.schedule, micro_batches_, layout_.pp, Stage{stage_})) {
        if (pass.direction == Direction::forward) {
            forward(pass.micro_batch);
        } else {
            backward(pass.micro_batch);
        }
    }
    reduce_gradients();
    optimize();
    program_.tasks = tasks_.take();
    return std::move(program_);
}

std::optional<GroupId> StepBuilder::join(GroupKind kind) {
    Group group = group_of(layout_, kind, program_.rank);
    if (group.size() < 2) {
        return std::nullopt;
    }
    program_.groups.push_back(std::move(group));
    return GroupId{static_cast<std::int64_t>(program_.groups.size()) - 1};
}

void StepBuilder::write_edge_blocks() {
    if (first()) {
        edges_.embedding_forward = add(embedding_forward(context_, buffers_.ends_of(0, 0).input));
        edges_.embedding_backward = add(embedding_backward(context_, buffers_.gradient()));
    }
    if (last()) {
        const Slice input = buffers_.ends_of(context_.shape.layers - 1, 0).output;
        Arena scratch = buffers_.scratch();
        const HeadBuffers head = place_head(context_, scratch);
        edges_.head_forward = add(head_forward(context_, head, scalars_, input));
        edges_.head_backward = add(head_backward(context_, head, input, buffers_.gradient()));
        grow_workspace(scratch);
    }
}

BlockId StepBuilder::add(Block block) {
    program_.blocks.push_back(std::move(block));
    return BlockId{static_cast<std::int64_t>(program_.blocks.size()) - 1};
}

BlockId StepBuilder::add_once(Block block) {
    const auto found = std::find(program_.blocks.begin(), program_.blocks.end(), block);
    return found == program_.blocks.end() ? add(std::move(block))
                                          : BlockId{found - program_.blocks.begin()};
}

const StepBuilder::LayerBlocks& StepBuilder::layer_blocks(const LayerEnds& ends) {
    const auto found =
        std::find_if(layers_.begin(), layers_.end(), [&](const LayerBlocks& existing) {
            return existing.ends == ends;
        });
    if (found != layers_.end()) {
        return *found;
    }
    BlockArenas kept = buffers_.arenas_of(ends);
    const BlockId forward = add(layer_forward(context_, ends, kept));
    grow_workspace(kept.scratch);
    BlockArenas used = buffers_.arenas_of(ends);
    const BlockId backward = add(layer_backward(context_, ends, used));
    grow_workspace(used.scratch);
    layers_.push_back({.ends = ends, .forward = forward, .backward = backward});
    return layers_.back();
}

void StepBuilder::grow_workspace(const Arena& scratch) {
    program_.extents.workspace = std::max(program_.extents.workspace, scratch.end());
}

/// The gradients of the stage, in pieces that each lie in one place. In aliased memory the place of
/// the layers counts as often as there are layers.
std::vector<Slice> StepBuilder::gradient_pieces() const {
    const ParameterMap& map = context_.parameters;
    std::vector<Slice> pieces{{.space = Space::gradient, .offset = 0, .elements = map.elements}};
    const Slice layer{
        .space = Space::gradient, .offset = map.output_elements, .elements = map.layer.elements};
    pieces.insert(pieces.end(), static_cast<std::size_t>(map.layers - map.resident_layers), layer);
    return pieces;
}

/// Aliased layers add to one place while a bucket of it is on the wire, so buckets get a place of
/// their own there: one, since they travel one after another.
std::int64_t StepBuilder::bucket_space() const {
    return setup_.memory == MemoryMode::aliased && dp_
               ? std::min(bucket_elements(setup_.bucket), context_.parameters.parameters)
               : 0;
}

void StepBuilder::zero_gradients() {
    BlockWriter block("zero_gradients", Phase::optimizer, context_);
    for (const Slice& gradients : gradient_pieces()) {
        block.elementwise(ElementwiseKind::zero, 1, gradients.elements, {}, {gradients});
    }
    tasks_.compute(task_of(add(block.take()), 0), {});
}

void StepBuilder::forward(std::int64_t micro_batch) {
    std::optional<TaskId> input;
    if (first()) {
        input = tasks_.compute(edge_task(edges_.embedding_forward, 0, micro_batch), {});
    } else {
        input = receive_input(micro_batch);
    }
    const std::int64_t layers = context_.shape.layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const BlockId block = layer_blocks(buffers_.ends_of(layer, micro_batch)).forward;
        const bool top = layer == layers - 1 && !last();
        tasks_.compute(
            layer_task(block, layer, micro_batch),
            {layer == 0 ? input : std::nullopt,
             top ? before(micro_batch, buffers_.output_reuse()).send_forward : std::nullopt});
    }
    if (!last()) {
        send_output(micro_batch);
    }
}

void StepBuilder::backward(std::int64_t micro_batch) {
    std::optional<TaskId> gradient;
    if (last()) {
        tasks_.compute(edge_task(edges_.head_forward, context_.shape.layers - 1, micro_batch), {});
        tasks_.compute(edge_task(edges_.head_backward, context_.shape.layers - 1, micro_batch), {});
        gradients_ready(micro_batch, context_.parameters.output_elements);
    } else {
        gradient = receive_gradient(micro_batch);
    }
    const std::int64_t layers = context_.shape.layers;
    for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
        const BlockId block = layer_blocks(buffers_.ends_of(layer, micro_batch)).backward;
        const bool bottom = layer == 0 && !first();
        const TaskId task =
            tasks_.compute(layer_task(block, layer, micro_batch),
                           {layer == layers - 1 ? gradient : std::nullopt,
                            bottom ? before(micro_batch, buffers_.grad_input_reuse()).send_backward
                                   : std::nullopt});
        if (layer == layers - 1) {
            milestones(micro_batch).last_layer_backward = task;
        }
        if (layer == 0) {
            milestones(micro_batch).first_layer_backward = task;
        }
        gradients_ready(micro_batch, context_.parameters.final_after(layer));
    }
    if (first()) {
        tasks_.compute(edge_task(edges_.embedding_backward, 0, micro_batch), {});
        gradients_ready(micro_batch, context_.parameters.parameters);
    } else {
        send_gradient(micro_batch);
    }
}

std::optional<TaskId> StepBuilder::receive_input(std::int64_t micro_batch) {
    const Recv recv{.group = *pp_,
                    .peer = GroupRank{stage_ - 1},
                    .tag = tag_of(stage_ - 1, Direction::forward),
                    .buffer = buffers_.ends_of(0, micro_batch).input,
                    .dtype = context_.storage};
    Task task = message_task(Lane::pp_recv_forward, recv, micro_batch);
    task.saved_base = buffers_.saved_base(0, micro_batch);
    return tasks_.point_to_point(
        std::move(task), {before(micro_batch, buffers_.input_reuse()).first_layer_backward});
}

std::optional<TaskId> StepBuilder::receive_gradient(std::int64_t micro_batch) {
    const Recv recv{.group = *pp_,
                    .peer = GroupRank{stage_ + 1},
                    .tag = tag_of(stage_, Direction::backward),
                    .buffer = buffers_.ends_of(context_.shape.layers - 1, micro_batch).grad_output,
                    .dtype = context_.storage};
    return tasks_.point_to_point(
        message_task(Lane::pp_recv_backward, recv, micro_batch),
        {before(micro_batch, buffers_.grad_output_reuse()).last_layer_backward});
}

void StepBuilder::send_output(std::int64_t micro_batch) {
    const Send send{.group = *pp_,
                    .peer = GroupRank{stage_ + 1},
                    .tag = tag_of(stage_, Direction::forward),
                    .buffer = buffers_.ends_of(context_.shape.layers - 1, micro_batch).output,
                    .dtype = context_.storage};
    milestones(micro_batch).send_forward = tasks_.point_to_point(
        message_task(Lane::pp_send_forward, send, micro_batch), {tasks_.last_compute()});
}

void StepBuilder::send_gradient(std::int64_t micro_batch) {
    const Send send{.group = *pp_,
                    .peer = GroupRank{stage_ - 1},
                    .tag = tag_of(stage_ - 1, Direction::backward),
                    .buffer = buffers_.ends_of(0, micro_batch).grad_input,
                    .dtype = context_.storage};
    milestones(micro_batch).send_backward = tasks_.point_to_point(
        message_task(Lane::pp_send_backward, send, micro_batch), {tasks_.last_compute()});
}

void StepBuilder::gradients_ready(std::int64_t micro_batch, std::int64_t ready) {
    if (setup_.overlap_gradients == Overlap::on && micro_batch == micro_batches_ - 1) {
        reduce_buckets(ready);
    }
}

void StepBuilder::reduce_gradients() {
    reduce_buckets(context_.parameters.parameters);
    if (embedding_) {
        const Slice& table = first() ? context_.parameters.table : context_.parameters.output_table;
        BlockWriter block("reduce_embedding", Phase::backward, context_);
        block.communicate(Lane::embedding,
                          all_reduce_in_place(*embedding_, gradient_of(table), DType::fp32));
        embedding_reduced_ = tasks_.collective(
            task_of(add(block.take()), 0), {last_bucket_ ? last_bucket_ : tasks_.last_compute()});
    }
}

void StepBuilder::reduce_buckets(std::int64_t ready) {
    if (!dp_) {
        return;
    }
    for (const GradientBucket& bucket : buckets_.complete_up_to(ready)) {
        BlockWriter block("reduce_bucket", Phase::backward, context_);
        block.communicate(Lane::dp,
                          all_reduce_in_place(
                              *dp_,
                              {.space = Space::gradient, .offset = 0, .elements = bucket.elements},
                              DType::fp32));
        Task task = task_of(add_once(block.take()), micro_batches_ - 1);
        task.parameter_base = bucket_space() > 0 ? context_.parameters.elements : bucket.offset;
        last_bucket_ = tasks_.collective(std::move(task), {tasks_.last_compute()});
    }
}

void StepBuilder::optimize() {
    const std::vector<Slice> pieces = gradient_pieces();
    BlockWriter block("optimizer", Phase::optimizer, context_);
    for (const Slice& gradients : pieces) {
        block.elementwise(ElementwiseKind::sum_of_squares,
                          1,
                          gradients.elements,
                          {gradients},
                          {scalars_.gradient_norm});
    }
    After norm;
    if (model_group_) {
        norm = block.communicate(
            Lane::model, all_reduce_in_place(*model_group_, scalars_.gradient_norm, DType::fp32));
    }
    for (const Slice& gradients : pieces) {
        block.elementwise(ElementwiseKind::scale,
                          1,
                          gradients.elements,
                          {gradients, scalars_.gradient_norm},
                          {gradients},
                          norm);
        block.compute(OptimizerStep{.offset = gradients.offset, .elements = gradients.elements});
    }
    tasks_.compute(task_of(add(block.take()), 0), {last_bucket_, embedding_reduced_});
}

Task StepBuilder::layer_task(BlockId block, std::int64_t layer, std::int64_t micro_batch) const {
    Task task = edge_task(block, layer, micro_batch);
    task.layer = LayerIndex{stage_ * context_.shape.layers + layer};
    task.parameter_base = context_.parameters.layer_base(layer);
    return task;
}

Task StepBuilder::edge_task(BlockId block, std::int64_t layer, std::int64_t micro_batch) const {
    Task task = task_of(block, micro_batch);
    task.saved_base = buffers_.saved_base(layer, micro_batch);
    return task;
}

std::int32_t StepBuilder::tag_of(std::int64_t stage, Direction direction) {
    return static_cast<std::int32_t>(2 * stage + (direction == Direction::backward ? 1 : 0));
}

std::int32_t StepBuilder::tag_base_of(std::int64_t micro_batch) const {
    return static_cast<std::int32_t>(2 * (layout_.pp - 1) * micro_batch);
}

Task StepBuilder::message_task(Lane lane, const CommOp& op, std::int64_t micro_batch) {
    const bool forward = lane == Lane::pp_recv_forward || lane == Lane::pp_send_forward;
    BlockWriter block(
        std::string(to_string(lane)), forward ? Phase::forward : Phase::backward, context_);
    block.communicate(lane, op);
    Task task = task_of(add_once(block.take()), micro_batch);
    task.tag_base = tag_base_of(micro_batch);
    return task;
}

}  // namespace traindyno
