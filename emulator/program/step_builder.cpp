// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_builder.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"
#include "emulator/program/blocks.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/optimizer_block.hpp"

namespace traindyno {

namespace {

StageContext context_of(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        Stage stage,
                        std::optional<GroupId> tp) {
    const LocalShape shape = local_shape(model, layout, setup, stage);
    return {.shape = shape,
            .parameters = parameter_map(model, layout, shape, stage, setup.memory),
            .storage = storage_type(setup.precision),
            .recompute = setup.recompute,
            .mlp = model.gated_mlp ? Mlp::swiglu : Mlp::gelu,
            .positions = model.positions,
            .weight_gradients = setup.schedule == Schedule::zero_bubble
                                    ? WeightGradients::deferred
                                    : WeightGradients::at_once,
            .tp = tp};
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
      pipeline_(pipeline_of(layout, setup)),
      chunks_(chunks_of(model, layout, setup, Stage{stage_})),
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
      buffers_(context_, pipeline_, setup, Stage{stage_}, chunks_),
      scalars_(place_scalars(context_, last())),
      milestones_(static_cast<std::size_t>(pipeline_.micro_batches * pipeline_.chunks)),
      tasks_(setup.overlap_p2p),
      gradients_(program_, tasks_, context_, setup, pipeline_.micro_batches) {
    gradients_.join({.dp = dp_, .embedding = embedding_});
    program_.extents = {.parameter = context_.parameters.elements + gradients_.bucket_space(),
                        .saved = buffers_.saved_extent(),
                        .workspace = buffers_.scratch().end(),
                        .scalar = scalars_.elements};
}

StepProgram StepBuilder::build() {
    write_edge_blocks();
    gradients_.zero();
    for (const Pass& pass : passes_of(pipeline_, Stage{stage_})) {
        run(pass);
    }
    gradients_.finish();
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
        edges_.embedding_forward =
            add_block(program_, embedding_forward(context_, buffers_.ends_of({}, 0).input));
        edges_.embedding_backward =
            add_block(program_, embedding_backward(context_, buffers_.gradient()));
    }
    if (last()) {
        const LayerEnds ends = buffers_.ends_of({.chunk = pipeline_.chunks - 1, .micro_batch = 0},
                                                chunks_.back().layers - 1);
        Arena scratch = buffers_.scratch();
        const HeadBuffers head = place_head(context_, scratch);
        edges_.head_forward = add_block(program_, head_forward(context_, head, scalars_, ends.output));
        edges_.head_backward =
            add_block(program_, head_backward(context_, head, ends.output, ends.grad_output));
        grow_workspace(scratch);
    }
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
    const BlockId forward = add_block(program_, layer_forward(context_, ends, kept));
    grow_workspace(kept.scratch);
    BlockArenas used = buffers_.arenas_of(ends);
    const BlockId backward = add_block(program_, layer_backward(context_, ends, used));
    grow_workspace(used.scratch);
    layers_.push_back({.ends = ends, .forward = forward, .backward = backward, .weights = {}});
    if (context_.weight_gradients == WeightGradients::deferred) {
        BlockArenas again = buffers_.arenas_of(ends);
        layers_.back().weights = add_block(program_, layer_weights(context_, ends, again));
    }
    return layers_.back();
}

void StepBuilder::grow_workspace(const Arena& scratch) {
    program_.extents.workspace = std::max(program_.extents.workspace, scratch.end());
}

void StepBuilder::run(const Pass& pass) {
    switch (pass.direction) {
        case Direction::forward:
            forward(pass.visit);
            return;
        case Direction::backward:
            backward(pass.visit);
            return;
        case Direction::weights:
            weights(pass.visit);
            return;
    }
}

void StepBuilder::forward(const Visit& visit) {
    const std::optional<TaskId> input =
        is_fed(visit) ? receive_input(visit)
                      : tasks_.compute(edge_task(edges_.embedding_forward, 0, visit), {});
    const std::int64_t layers = chunk_of(visit).layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const BlockId block = layer_blocks(buffers_.ends_of(visit, layer)).forward;
        const bool top = layer == layers - 1 && feeds(visit);
        tasks_.compute(layer_task(block, layer, visit),
                       {layer == 0 ? input : std::nullopt,
                        top ? before(buffers_.output_of(visit)).send_forward : std::nullopt});
    }
    if (feeds(visit)) {
        send_output(visit);
    }
}

void StepBuilder::backward(const Visit& visit) {
    std::optional<TaskId> gradient;
    const std::int64_t layers = chunk_of(visit).layers;
    if (feeds(visit)) {
        gradient = receive_gradient(visit);
    } else {
        tasks_.compute(edge_task(edges_.head_forward, layers - 1, visit), {});
        tasks_.compute(edge_task(edges_.head_backward, layers - 1, visit), {});
        gradients_.ready(visit.micro_batch, context_.parameters.output_elements);
    }
    Milestones& reached = milestones(visit);
    for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
        const LayerBlocks& blocks = layer_blocks(buffers_.ends_of(visit, layer));
        const bool bottom = layer == 0 && is_fed(visit);
        reached.first_layer_backward = reached.slot_free = tasks_.compute(
            layer_task(blocks.backward, layer, visit),
            {layer == layers - 1 ? gradient : std::nullopt,
             bottom ? before(buffers_.grad_input_of(visit)).send_backward : std::nullopt});
        if (layer == layers - 1) {
            reached.last_layer_backward = reached.first_layer_backward;
        }
        if (!blocks.weights) {
            gradients_.ready(visit.micro_batch,
                             context_.parameters.final_after(layers_before(layer, visit)));
        }
    }
    if (is_fed(visit)) {
        send_gradient(visit);
        return;
    }
    tasks_.compute(edge_task(edges_.embedding_backward, 0, visit), {});
    if (context_.weight_gradients == WeightGradients::at_once) {
        gradients_.ready(visit.micro_batch, context_.parameters.parameters);
    }
}

void StepBuilder::weights(const Visit& visit) {
    for (std::int64_t layer = chunk_of(visit).layers - 1; layer >= 0; --layer) {
        const LayerBlocks& blocks = layer_blocks(buffers_.ends_of(visit, layer));
        milestones(visit).slot_free =
            tasks_.compute(layer_task(blocks.weights.value(), layer, visit), {});
        // The embedding's gradient, which comes last, has been final since the backward.
        gradients_.ready(visit.micro_batch,
                         layer > 0 ? context_.parameters.final_after(layer)
                                   : context_.parameters.parameters);
    }
}

std::optional<TaskId> StepBuilder::receive_input(const Visit& visit) {
    const Recv recv{.group = *pp_,
                    .peer = neighbour(-1),
                    .tag = tag_above(part_of(visit) - 1, Direction::forward),
                    .buffer = buffers_.ends_of(visit, 0).input,
                    .dtype = context_.storage};
    Task task = message_task(Lane::pp_recv_forward, recv, visit);
    task.saved_base = buffers_.saved_base(visit, 0);
    return tasks_.point_to_point(std::move(task),
                                 {buffers_.input_in_slot()
                                      ? before(buffers_.slot_of(visit)).slot_free
                                      : before(buffers_.input_of(visit)).first_layer_backward});
}

std::optional<TaskId> StepBuilder::receive_gradient(const Visit& visit) {
    const std::int64_t top = chunk_of(visit).layers - 1;
    const Recv recv{.group = *pp_,
                    .peer = neighbour(1),
                    .tag = tag_above(part_of(visit), Direction::backward),
                    .buffer = buffers_.ends_of(visit, top).grad_output,
                    .dtype = context_.storage};
    Task task = message_task(Lane::pp_recv_backward, recv, visit);
    if (!buffers_.gradient_in_slot()) {
        return tasks_.point_to_point(std::move(task),
                                     {before(buffers_.grad_output_of(visit)).last_layer_backward});
    }
    task.saved_base = buffers_.saved_base(visit, top);
    return tasks_.point_to_point(std::move(task), {before(buffers_.slot_of(visit)).slot_free});
}

void StepBuilder::send_output(const Visit& visit) {
    const Send send{.group = *pp_,
                    .peer = neighbour(1),
                    .tag = tag_above(part_of(visit), Direction::forward),
                    .buffer = buffers_.ends_of(visit, chunk_of(visit).layers - 1).output,
                    .dtype = context_.storage};
    milestones(visit).send_forward = tasks_.point_to_point(
        message_task(Lane::pp_send_forward, send, visit), {tasks_.last_compute()});
}

void StepBuilder::send_gradient(const Visit& visit) {
    const Send send{.group = *pp_,
                    .peer = neighbour(-1),
                    .tag = tag_above(part_of(visit) - 1, Direction::backward),
                    .buffer = buffers_.ends_of(visit, 0).grad_input,
                    .dtype = context_.storage};
    milestones(visit).send_backward = tasks_.point_to_point(
        message_task(Lane::pp_send_backward, send, visit), {tasks_.last_compute()});
}

void StepBuilder::optimize() {
    tasks_.compute(
        task_of(add_block(program_,
                          optimizer_block(
                              context_, gradients_.pieces(), scalars_.gradient_norm, model_group_)),
                0),
        {gradients_.last_bucket(), gradients_.embedding_reduced()});
}

std::int64_t StepBuilder::layers_before(std::int64_t layer, const Visit& visit) const {
    return chunk_of(visit).first_of_stage + layer;
}

Task StepBuilder::layer_task(BlockId block, std::int64_t layer, const Visit& visit) const {
    Task task = edge_task(block, layer, visit);
    task.layer = LayerIndex{chunk_of(visit).first + layer};
    task.parameter_base = context_.parameters.layer_base(layers_before(layer, visit));
    return task;
}

Task StepBuilder::edge_task(BlockId block, std::int64_t layer, const Visit& visit) const {
    Task task = task_of(block, visit.micro_batch);
    task.saved_base = buffers_.saved_base(visit, layer);
    return task;
}

std::int32_t StepBuilder::tag_above(std::int64_t part, Direction direction) {
    return static_cast<std::int32_t>(2 * part + (direction == Direction::backward ? 1 : 0));
}

std::int32_t StepBuilder::tag_base_of(std::int64_t micro_batch) const {
    return static_cast<std::int32_t>(2 * (pipeline_.stages * pipeline_.chunks - 1) * micro_batch);
}

Task StepBuilder::message_task(Lane lane, const CommOp& op, const Visit& visit) {
    const bool forward = lane == Lane::pp_recv_forward || lane == Lane::pp_send_forward;
    BlockWriter block(
        std::string(to_string(lane)), forward ? Phase::forward : Phase::backward, context_);
    block.communicate(lane, op);
    Task task = task_of(add_block_once(program_, block.take()), visit.micro_batch);
    task.tag_base = tag_base_of(visit.micro_batch);
    return task;
}

}  // namespace traindyno
