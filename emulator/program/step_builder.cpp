// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_builder.hpp"

#include <algorithm>
#include <span>

#include "emulator/base/error.hpp"
#include "emulator/program/blocks.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/optimizer_block.hpp"
#include "emulator/program/replicated_gradients.hpp"

namespace traindyno {

namespace {

Stage stage_of(const Layout& layout, WorldRank rank) {
    return Stage{coordinates_of(layout, rank).pp};
}

StageContext context_of(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        WorldRank rank,
                        std::optional<GroupId> tp,
                        std::optional<ContextParallel> cp,
                        std::optional<GroupId> ep) {
    const Stage stage = stage_of(layout, rank);
    const LocalShape shape = local_shape(model, layout, setup, stage);
    const Sharding sharding = sharding_of(model, layout, setup);
    return {.shape = shape,
            .parameters = parameter_map(model, layout, shape, stage, setup.memory, sharding),
            .sharding = sharding,
            .storage = storage_type(setup.precision),
            .gradient = setup.gradient_type,
            .recompute = setup.recompute,
            .mlp = model.gated_mlp ? Mlp::swiglu : Mlp::gelu,
            .positions = model.positions,
            .weight_gradients = setup.schedule == Schedule::zero_bubble ? WeightGradients::deferred
                                                                        : WeightGradients::at_once,
            .tp = tp,
            .cp = cp,
            .ep = ep,
            .routes = model.experts > 0 ? ExpertRoutes(model, layout, setup, shape.own_tokens)
                                        : ExpertRoutes(),
            .expert_position = group_of(layout, GroupKind::ep, rank).rank_of(rank).value()};
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
               .gradient_type = setup.gradient_type,
               .extents = {},
               .groups = {},
               .blocks = {},
               .tasks = {}},
      tp_(join(GroupKind::tp)),
      cp_(join_context_parallel()),
      dp_(join_data_parallel(sharding_of(model, layout, setup))),
      ep_(layout.ep > 1 ? join(GroupKind::ep) : std::nullopt),
      expert_dp_(join_experts(sharding_of(model, layout, setup))),
      pp_(join(GroupKind::pp)),
      embedding_(model.tied_embeddings ? join(GroupKind::embedding) : std::nullopt),
      model_group_(join(GroupKind::model)),
      context_(context_of(model, layout, setup, rank, tp_, cp_, ep_)),
      buffers_(context_, pipeline_, setup, Stage{stage_}, chunks_),
      scalars_(place_scalars(context_, last())),
      milestones_(static_cast<std::size_t>(pipeline_.micro_batches * pipeline_.chunks)),
      tasks_(setup.overlap_p2p),
      weights_(program_, tasks_, context_, setup, weight_uses()),
      gradients_(program_, tasks_, context_, setup, pipeline_.micro_batches) {
    const StageShards shards{.all = dp_, .experts = expert_dp_};
    weights_.join(shards);
    gradients_.join({.shards = shards, .embedding = embedding_});
    const auto unless_equal = [&](std::int64_t extent) {
        return extent == weights_.extent() ? std::nullopt : std::optional(extent);
    };
    program_.extents = {
        .parameter = weights_.extent(),
        .saved = buffers_.saved_extent(),
        .workspace = buffers_.scratch().end(),
        .scalar = scalars_.elements,
        .gradient = unless_equal(gradients_.extent()),
        .state = unless_equal(kept_elements(context_.parameters, context_.sharding))};
}

StepProgram StepBuilder::build() {
    write_edge_blocks();
    weights_.begin_step();
    gradients_.begin_step();
    run_passes();
    gradients_.end_step();
    optimize();
    program_.tasks = tasks_.take();
    return std::move(program_);
}

/// What forward and backward need weights of, in the order in which they do.
std::vector<ParameterSync::Use> StepBuilder::weight_uses() const {
    std::vector<ParameterSync::Use> uses;
    const auto use_layer = [&](const Visit& visit, std::int64_t layer, Phase phase) {
        uses.push_back({.unit = unit_of(layer, visit), .phase = phase});
    };
    for (const Pass& pass : passes_of(pipeline_, Stage{stage_})) {
        const Visit& visit = pass.visit;
        const std::int64_t layers = chunk_of(visit).layers;
        if (pass.direction == Direction::forward) {
            if (!is_fed(visit)) {
                uses.push_back({.unit = {.kind = UnitKind::embedding}, .phase = Phase::forward});
            }
            for (std::int64_t layer = 0; layer < layers; ++layer) {
                use_layer(visit, layer, Phase::forward);
            }
        } else if (pass.direction == Direction::backward) {
            if (!feeds(visit)) {
                uses.push_back(
                    {.unit = {.kind = context_.parameters.head_unit}, .phase = Phase::forward});
            }
            for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
                use_layer(visit, layer, Phase::backward);
            }
        }
    }
    return uses;
}

void StepBuilder::write_edge_blocks() {
    if (first()) {
        Arena forward = buffers_.scratch();
        edges_.embedding_forward = add_block(
            program_, embedding_forward(context_, buffers_.ends_of({}, 0).input, forward));
        grow_workspace(forward);
        Arena backward = buffers_.scratch();
        edges_.embedding_backward =
            add_block(program_, embedding_backward(context_, buffers_.gradient(), backward));
        grow_workspace(backward);
    }
    if (last()) {
        const LayerEnds ends = buffers_.ends_of({.chunk = pipeline_.chunks - 1, .micro_batch = 0},
                                                chunks_.back().layers - 1);
        Arena scratch = buffers_.scratch();
        const HeadBuffers head = place_head(context_, scratch);
        edges_.head_forward =
            add_block(program_, head_forward(context_, head, scalars_, ends.output));
        edges_.head_backward =
            add_block(program_, head_backward(context_, head, ends.output, ends.grad_output));
        grow_workspace(scratch);
    }
}

const StepBuilder::LayerBlocks& StepBuilder::layer_blocks(std::int64_t layer, const Visit& visit) {
    const LayerEnds ends = buffers_.ends_of(visit, layer);
    const LayerKind kind = context_.parameters.kind_of(unit_of(layer, visit).layer);
    const auto found =
        std::find_if(layers_.begin(), layers_.end(), [&](const LayerBlocks& existing) {
            return existing.kind == kind && existing.ends == ends;
        });
    if (found != layers_.end()) {
        return *found;
    }
    BlockArenas kept = buffers_.arenas_of(ends);
    const BlockId forward = add_block(program_, layer_forward(context_, kind, ends, kept));
    grow_workspace(kept.scratch);
    BlockArenas used = buffers_.arenas_of(ends);
    const BlockId backward = add_block(program_, layer_backward(context_, kind, ends, used));
    grow_workspace(used.scratch);
    layers_.push_back(
        {.kind = kind, .ends = ends, .forward = forward, .backward = backward, .weights = {}});
    if (context_.weight_gradients == WeightGradients::deferred) {
        BlockArenas again = buffers_.arenas_of(ends);
        layers_.back().weights = add_block(program_, layer_weights(context_, kind, ends, again));
    }
    return layers_.back();
}

void StepBuilder::grow_workspace(const Arena& scratch) {
    program_.extents.workspace = std::max(program_.extents.workspace, scratch.end());
}

/// What a pass receives is posted when the pass before it has sent its results. Without overlap an
/// interleaved forward and the backward after it exchange messages together, as in Megatron-LM:
/// chunks make the stages a ring, in which each would wait for the next one's receive.
void StepBuilder::run_passes() {
    const std::vector<Pass> passes = passes_of(pipeline_, Stage{stage_});
    const bool pairs = pipeline_.chunks > 1 && setup_.overlap_p2p == Overlap::off;
    const auto warm = static_cast<std::size_t>(warm_up(pipeline_, Stage{stage_}));
    const auto group_at = [&](std::size_t begin) {
        const std::size_t left = passes.size() - begin;
        const bool pair =
            pairs && begin >= warm && left > 0 && passes[begin].direction == Direction::forward;
        return std::span(passes).subspan(begin, std::min<std::size_t>(left, pair ? 2 : 1));
    };
    const auto for_each = [this](std::span<const Pass> group, auto action) {
        for (const Pass& pass : group) {
            (this->*action)(pass);
        }
    };
    std::span<const Pass> group = group_at(0);
    for_each(group, &StepBuilder::receive);
    for (std::size_t begin = 0; begin < passes.size();) {
        for_each(group, &StepBuilder::run);
        for_each(group, &StepBuilder::send);
        begin += group.size();
        group = group_at(begin);
        for_each(group, &StepBuilder::receive);
    }
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
    std::optional<TaskId> input = milestones(visit).receive_forward;
    if (!is_fed(visit)) {
        const auto weights = weights_.begin_use({.kind = UnitKind::embedding});
        Task task = edge_task(edges_.embedding_forward, 0, visit);
        task.parameter_base = weights.base;
        input = tasks_.compute(std::move(task), {weights.ready});
        weights_.end_use(*input);
    }
    const std::int64_t layers = chunk_of(visit).layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        const BlockId block = layer_blocks(layer, visit).forward;
        const bool top = layer == layers - 1 && feeds(visit);
        const auto weights = weights_.begin_use(unit_of(layer, visit));
        Task task = layer_task(block, layer, visit);
        task.parameter_base = weights.base;
        weights_.end_use(
            tasks_.compute(std::move(task),
                           {layer == 0 ? input : std::nullopt,
                            top ? before(buffers_.output_of(visit)).send_forward : std::nullopt,
                            weights.ready,
                            weights.experts_ready}));
    }
}

void StepBuilder::backward(const Visit& visit) {
    if (!feeds(visit)) {
        run_head(visit);
    }
    const std::int64_t layers = chunk_of(visit).layers;
    Milestones& reached = milestones(visit);
    for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
        const LayerBlocks blocks = layer_blocks(layer, visit);
        const bool bottom = layer == 0 && is_fed(visit);
        const Unit unit = unit_of(layer, visit);
        const auto weights = weights_.begin_use(unit);
        const auto gradients = gradients_.begin_backward(unit);
        Task task = layer_task(blocks.backward, layer, visit);
        task.parameter_base = weights.base;
        task.gradient_shift = gradients.base - weights.base;
        reached.slot_free = tasks_.compute(
            std::move(task),
            {layer == layers - 1 ? reached.receive_backward : std::nullopt,
             bottom ? before(buffers_.grad_input_of(visit)).send_backward : std::nullopt,
             weights.ready,
             weights.experts_ready,
             gradients.ready});
        weights_.end_use(*reached.slot_free);
        if (layer == layers - 1) {
            reached.last_layer_backward = reached.slot_free;
        }
        if (!blocks.weights) {
            gradients_.end_backward(unit, visit.micro_batch);
        }
    }
    reached.first_layer_backward = reached.slot_free;
    if (!is_fed(visit)) {
        run_embedding_backward(visit);
    }
}

void StepBuilder::run_embedding_backward(const Visit& visit) {
    const Unit unit{.kind = UnitKind::embedding};
    const auto gradients = gradients_.begin_backward(unit);
    Task task = edge_task(edges_.embedding_backward, 0, visit);
    task.gradient_shift = gradients.base;
    tasks_.compute(std::move(task), {gradients.ready});
    if (context_.weight_gradients == WeightGradients::at_once) {
        gradients_.end_backward(unit, visit.micro_batch);
    }
}

void StepBuilder::weights(const Visit& visit) {
    for (std::int64_t layer = chunk_of(visit).layers - 1; layer >= 0; --layer) {
        const BlockId block = layer_blocks(layer, visit).weights.value();
        const Unit unit = unit_of(layer, visit);
        const auto gradients = gradients_.begin_backward(unit);
        Task task = layer_task(block, layer, visit);
        task.parameter_base = gradients.base;
        milestones(visit).slot_free = tasks_.compute(std::move(task), {gradients.ready});
        gradients_.end_backward(unit, visit.micro_batch);
    }
    if (!is_fed(visit)) {
        gradients_.end_backward({.kind = UnitKind::embedding}, visit.micro_batch);
    }
}

/// Forward and backward of the head follow each other.
void StepBuilder::run_head(const Visit& visit) {
    const Unit unit{.kind = context_.parameters.head_unit};
    const auto weights = weights_.begin_use(unit);
    const auto gradients = gradients_.begin_backward({.kind = UnitKind::head});
    Task task = edge_task(edges_.head_forward, chunk_of(visit).layers - 1, visit);
    task.parameter_base = weights.base;
    task.gradient_shift = gradients.base - weights.base;
    tasks_.compute(task, {weights.ready, gradients.ready});
    task.block = edges_.head_backward;
    weights_.end_use(tasks_.compute(std::move(task), {}));
    gradients_.end_backward({.kind = UnitKind::head}, visit.micro_batch);
}

void StepBuilder::optimize() {
    const bool shards = context_.sharding.zero != Zero::none;
    const NormGroups norm{.model = model_group_,
                          .shards = shards ? std::optional(dp_->group) : std::nullopt,
                          .experts = shards ? std::nullopt : ep_};
    const std::vector<OptimizerStep> updates =
        updates_of(context_.parameters, context_.sharding, {.all = dp_, .experts = expert_dp_});
    const BlockId block =
        add_block(program_, optimizer_block(context_, updates, scalars_.gradient_norm, norm));
    weights_.end_step(tasks_.compute(
        task_of(block, 0),
        {gradients_.last_reduced(), gradients_.experts_reduced(), gradients_.embedding_reduced()}));
}

Unit StepBuilder::unit_of(std::int64_t layer, const Visit& visit) const {
    return {.kind = UnitKind::layer, .layer = chunk_of(visit).first_of_stage + layer};
}

Task StepBuilder::layer_task(BlockId block, std::int64_t layer, const Visit& visit) const {
    Task task = edge_task(block, layer, visit);
    task.layer = LayerIndex{chunk_of(visit).first + layer};
    return task;
}

Task StepBuilder::edge_task(BlockId block, std::int64_t layer, const Visit& visit) const {
    Task task = task_of(block, visit.micro_batch);
    task.saved_base = buffers_.saved_base(visit, layer);
    // Traffic is on a lane of its own: only a dependency makes it wait for what it sends.
    const bool begins_with_traffic =
        std::holds_alternative<CommOp>(program_.blocks[block.index()].ops.front().op);
    if (begins_with_traffic && tasks_.last_compute()) {
        task.after.push_back(*tasks_.last_compute());
    }
    return task;
}

}  // namespace traindyno
