// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_builder.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"
#include "emulator/program/blocks.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/optimizer_block.hpp"
#include "emulator/program/replicated_gradients.hpp"

namespace traindyno {

namespace {

StageContext context_of(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        Stage stage,
                        std::optional<GroupId> tp) {
    const LocalShape shape = local_shape(model, layout, setup);
    const Sharding sharding = sharding_of(model, layout, setup);
    return {.shape = shape,
            .parameters = parameter_map(model, layout, shape, stage, setup.memory, sharding),
            .sharding = sharding,
            .storage = storage_type(setup.precision),
            .gradient = setup.gradient_type,
            .recompute = setup.recompute,
            .mlp = model.gated_mlp ? Mlp::swiglu : Mlp::gelu,
            .positions = model.positions,
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
      micro_batches_(micro_batches(layout, setup)),
      program_{.rank = rank,
               .stage = Stage{stage_},
               .precision = setup.precision,
               .gradient_type = setup.gradient_type,
               .extents = {},
               .groups = {},
               .blocks = {},
               .tasks = {}},
      tp_(join(GroupKind::tp)),
      dp_(join_data_parallel(model)),
      pp_(join(GroupKind::pp)),
      embedding_(model.tied_embeddings ? join(GroupKind::embedding) : std::nullopt),
      model_group_(join(GroupKind::model)),
      context_(context_of(model, layout, setup, Stage{stage_}, tp_)),
      buffers_(context_, layout, setup, Stage{stage_}, micro_batches_),
      scalars_(place_scalars(context_, last())),
      milestones_(static_cast<std::size_t>(micro_batches_)),
      tasks_(setup.overlap_p2p),
      weights_(program_, tasks_, context_, setup, weight_uses()),
      gradients_(program_, tasks_, context_, setup, micro_batches_) {
    weights_.join(dp_);
    gradients_.join({.dp = dp_, .embedding = embedding_});
    const auto unless_equal = [&](std::int64_t extent) {
        return extent == weights_.extent() ? std::nullopt : std::optional(extent);
    };
    program_.extents = {
        .parameter = weights_.extent(),
        .saved = buffers_.saved_extent(),
        .workspace = buffers_.scratch().end(),
        .scalar = scalars_.elements,
        .gradient = unless_equal(gradients_.extent()),
        .state = unless_equal(context_.parameters.elements / context_.sharding.ranks)};
}

StepProgram StepBuilder::build() {
    write_edge_blocks();
    weights_.begin_step();
    gradients_.begin_step();
    for (const Pass& pass : passes_of(setup_.schedule, micro_batches_, layout_.pp, Stage{stage_})) {
        if (pass.direction == Direction::forward) {
            forward(pass.micro_batch);
        } else {
            backward(pass.micro_batch);
        }
    }
    gradients_.end_step();
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

/// Hybrid sharding takes the replicas apart into those that share state and those that copy it.
std::optional<ShardGroup> StepBuilder::join_data_parallel(const Model& model) {
    const Sharding sharding = sharding_of(model, layout_, setup_);
    const bool hybrid = sharding.ranks > 1 && sharding.ranks < layout_.dp * layout_.cp;
    const std::optional<GroupId> group = join(hybrid ? GroupKind::dp_shard : GroupKind::dp);
    if (!group) {
        return std::nullopt;
    }
    const std::int64_t rank = program_.groups[group->index()].rank_of(program_.rank).value();
    return ShardGroup{.group = *group,
                      .rank = sharding.ranks > 1 ? rank : 0,
                      .replicas = hybrid ? join(GroupKind::dp_replicate) : std::nullopt};
}

/// What forward and backward need weights of, in the order in which they do.
std::vector<ParameterSync::Use> StepBuilder::weight_uses() const {
    std::vector<ParameterSync::Use> uses;
    const auto use = [&](UnitKind kind, std::int64_t layer, Phase phase) {
        uses.push_back({.unit = {.kind = kind, .layer = layer}, .phase = phase});
    };
    const std::int64_t layers = context_.shape.layers;
    for (const Pass& pass : passes_of(setup_.schedule, micro_batches_, layout_.pp, Stage{stage_})) {
        if (pass.direction == Direction::forward) {
            if (first()) {
                use(UnitKind::embedding, 0, Phase::forward);
            }
            for (std::int64_t layer = 0; layer < layers; ++layer) {
                use(UnitKind::layer, layer, Phase::forward);
            }
        } else {
            if (last()) {
                use(context_.parameters.head_unit, 0, Phase::forward);
            }
            for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
                use(UnitKind::layer, layer, Phase::backward);
            }
        }
    }
    return uses;
}

void StepBuilder::write_edge_blocks() {
    if (first()) {
        Arena forward = buffers_.scratch();
        edges_.embedding_forward =
            add_block(program_, embedding_forward(context_, buffers_.ends_of(0, 0).input, forward));
        grow_workspace(forward);
        Arena backward = buffers_.scratch();
        edges_.embedding_backward =
            add_block(program_, embedding_backward(context_, buffers_.gradient(), backward));
        grow_workspace(backward);
    }
    if (last()) {
        const Slice input = buffers_.ends_of(context_.shape.layers - 1, 0).output;
        Arena scratch = buffers_.scratch();
        const HeadBuffers head = place_head(context_, scratch);
        edges_.head_forward = add_block(program_, head_forward(context_, head, scalars_, input));
        edges_.head_backward =
            add_block(program_, head_backward(context_, head, input, buffers_.gradient()));
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
    layers_.push_back({.ends = ends, .forward = forward, .backward = backward});
    return layers_.back();
}

void StepBuilder::grow_workspace(const Arena& scratch) {
    program_.extents.workspace = std::max(program_.extents.workspace, scratch.end());
}

void StepBuilder::forward(std::int64_t micro_batch) {
    std::optional<TaskId> input;
    if (first()) {
        const auto weights = weights_.begin_use({.kind = UnitKind::embedding});
        Task task = edge_task(edges_.embedding_forward, 0, micro_batch);
        task.parameter_base = weights.base;
        input = tasks_.compute(std::move(task), {weights.ready});
        weights_.end_use(*input);
    } else {
        input = receive_input(micro_batch);
    }
    const std::int64_t layers = context_.shape.layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const BlockId block = layer_blocks(buffers_.ends_of(layer, micro_batch)).forward;
        const bool top = layer == layers - 1 && !last();
        const auto weights = weights_.begin_use({.kind = UnitKind::layer, .layer = layer});
        Task task = layer_task(block, layer, micro_batch);
        task.parameter_base = weights.base;
        weights_.end_use(tasks_.compute(
            std::move(task),
            {layer == 0 ? input : std::nullopt,
             top ? before(micro_batch, buffers_.output_reuse()).send_forward : std::nullopt,
             weights.ready}));
    }
    if (!last()) {
        send_output(micro_batch);
    }
}

void StepBuilder::backward(std::int64_t micro_batch) {
    std::optional<TaskId> gradient;
    if (last()) {
        run_head(micro_batch);
    } else {
        gradient = receive_gradient(micro_batch);
    }
    const std::int64_t layers = context_.shape.layers;
    for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
        const BlockId block = layer_blocks(buffers_.ends_of(layer, micro_batch)).backward;
        const bool bottom = layer == 0 && !first();
        const Unit unit{.kind = UnitKind::layer, .layer = layer};
        const auto weights = weights_.begin_use(unit);
        const auto gradients = gradients_.begin_backward(unit);
        Task layer_backward = layer_task(block, layer, micro_batch);
        layer_backward.parameter_base = weights.base;
        layer_backward.gradient_shift = gradients.base - weights.base;
        const TaskId task = tasks_.compute(
            std::move(layer_backward),
            {layer == layers - 1 ? gradient : std::nullopt,
             bottom ? before(micro_batch, buffers_.grad_input_reuse()).send_backward : std::nullopt,
             weights.ready,
             gradients.ready});
        weights_.end_use(task);
        if (layer == layers - 1) {
            milestones(micro_batch).last_layer_backward = task;
        }
        if (layer == 0) {
            milestones(micro_batch).first_layer_backward = task;
        }
        gradients_.end_backward(unit, micro_batch);
    }
    if (first()) {
        const Unit unit{.kind = UnitKind::embedding};
        const auto gradients = gradients_.begin_backward(unit);
        Task task = edge_task(edges_.embedding_backward, 0, micro_batch);
        task.gradient_shift = gradients.base;
        tasks_.compute(std::move(task), {gradients.ready});
        gradients_.end_backward(unit, micro_batch);
    } else {
        send_gradient(micro_batch);
    }
}

/// Forward and backward of the head follow each other.
void StepBuilder::run_head(std::int64_t micro_batch) {
    const Unit unit{.kind = context_.parameters.head_unit};
    const auto weights = weights_.begin_use(unit);
    const auto gradients = gradients_.begin_backward({.kind = UnitKind::head});
    Task task = edge_task(edges_.head_forward, context_.shape.layers - 1, micro_batch);
    task.parameter_base = weights.base;
    task.gradient_shift = gradients.base - weights.base;
    tasks_.compute(task, {weights.ready, gradients.ready});
    task.block = edges_.head_backward;
    weights_.end_use(tasks_.compute(std::move(task), {}));
    gradients_.end_backward({.kind = UnitKind::head}, micro_batch);
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

void StepBuilder::optimize() {
    const bool shards = context_.sharding.zero != Zero::none;
    const NormGroups norm{.model = model_group_,
                          .shards = shards ? std::optional(dp_->group) : std::nullopt};
    const std::vector<OptimizerStep> updates =
        updates_of(context_.parameters, context_.sharding, dp_ ? dp_->rank : 0);
    const BlockId block =
        add_block(program_, optimizer_block(context_, updates, scalars_.gradient_norm, norm));
    weights_.end_step(tasks_.compute(task_of(block, 0),
                                     {gradients_.last_reduced(), gradients_.embedding_reduced()}));
}

Task StepBuilder::layer_task(BlockId block, std::int64_t layer, std::int64_t micro_batch) const {
    Task task = edge_task(block, layer, micro_batch);
    task.layer = LayerIndex{stage_ * context_.shape.layers + layer};
    return task;
}

Task StepBuilder::edge_task(BlockId block, std::int64_t layer, std::int64_t micro_batch) const {
    Task task = task_of(block, micro_batch);
    task.saved_base = buffers_.saved_base(layer, micro_batch);
    // Traffic is on a lane of its own: only a dependency makes it wait for what it sends.
    const bool begins_with_traffic =
        std::holds_alternative<CommOp>(program_.blocks[block.index()].ops.front().op);
    if (begins_with_traffic && tasks_.last_compute()) {
        task.after.push_back(*tasks_.last_compute());
    }
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
    Task task = task_of(add_block_once(program_, block.take()), micro_batch);
    task.tag_base = tag_base_of(micro_batch);
    return task;
}

}  // namespace traindyno
