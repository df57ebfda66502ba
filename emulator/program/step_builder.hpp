// SPDX-License-Identifier: Apache-2.0
// Assembles the step of one rank: groups, blocks, and the tasks of its schedule.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/edge_blocks.hpp"
#include "emulator/program/gradient_sync.hpp"
#include "emulator/program/layer_blocks.hpp"
#include "emulator/program/parameter_sync.hpp"
#include "emulator/program/stage_buffers.hpp"
#include "emulator/program/task_list.hpp"

namespace traindyno {

/// For valid models, layouts and setups only (problems_of).
class StepBuilder {
  public:
    StepBuilder(const Model& model,
                const Layout& layout,
                const TrainingSetup& setup,
                WorldRank rank);

    [[nodiscard]] StepProgram build();

  private:
    struct LayerBlocks {
        LayerKind kind = LayerKind::dense;
        LayerEnds ends;
        BlockId forward;
        BlockId backward;
        std::optional<BlockId> weights;  ///< where weight gradients are deferred
    };

    struct EdgeBlocks {
        BlockId embedding_forward;
        BlockId embedding_backward;
        BlockId head_forward;
        BlockId head_backward;
    };

    /// Tasks of each visit that later ones wait for; absent where there is none.
    struct Milestones {
        std::optional<TaskId> first_layer_backward;
        std::optional<TaskId> last_layer_backward;
        std::optional<TaskId> slot_free;  ///< the last to use the slot
        std::optional<TaskId> receive_forward;
        std::optional<TaskId> receive_backward;
        std::optional<TaskId> send_forward;
        std::optional<TaskId> send_backward;
    };

    [[nodiscard]] std::optional<GroupId> join(GroupKind kind);
    [[nodiscard]] std::optional<ContextParallel> join_context_parallel();
    [[nodiscard]] std::optional<ShardGroup> join_data_parallel(const Sharding& sharding);
    [[nodiscard]] std::optional<ShardGroup> join_experts(const Sharding& sharding);
    [[nodiscard]] std::vector<ParameterSync::Use> weight_uses() const;
    void write_edge_blocks();
    [[nodiscard]] const LayerBlocks& layer_blocks(std::int64_t layer, const Visit& visit);
    void grow_workspace(const Arena& scratch);

    void run_passes();
    void receive(const Pass& pass);
    void run(const Pass& pass);
    void send(const Pass& pass);
    void forward(const Visit& visit);
    void backward(const Visit& visit);
    void weights(const Visit& visit);
    void run_embedding_backward(const Visit& visit);
    void run_head(const Visit& visit);
    [[nodiscard]] std::optional<TaskId> receive_input(const Visit& visit);
    [[nodiscard]] std::optional<TaskId> receive_gradient(const Visit& visit);
    void send_output(const Visit& visit);
    void send_gradient(const Visit& visit);
    void optimize();

    // `layer` counts the layers of the visit's chunk.
    [[nodiscard]] Task layer_task(BlockId block, std::int64_t layer, const Visit& visit) const;
    /// A task of the embedding or the head, which meet the layers at `layer`.
    [[nodiscard]] Task edge_task(BlockId block, std::int64_t layer, const Visit& visit) const;
    [[nodiscard]] Unit unit_of(std::int64_t layer, const Visit& visit) const;
    /// Tag of a message across the boundary above a chunk of a stage; unique in the step together
    /// with tag_base_of.
    [[nodiscard]] static std::int32_t tag_above(std::int64_t part, Direction direction);
    [[nodiscard]] std::int32_t tag_base_of(std::int64_t micro_batch) const;
    [[nodiscard]] Task message_task(Lane lane, const CommOp& op, const Visit& visit);

    [[nodiscard]] const ModelChunk& chunk_of(const Visit& visit) const {
        return chunks_[static_cast<std::size_t>(visit.chunk)];
    }

    /// Position of a chunk among those of all stages, in the order of the model.
    [[nodiscard]] std::int64_t part_of(const Visit& visit) const {
        return visit.chunk * layout_.pp + stage_;
    }

    [[nodiscard]] GroupRank neighbour(std::int64_t distance) const {
        return GroupRank{(stage_ + distance + layout_.pp) % layout_.pp};
    }

    [[nodiscard]] bool is_fed(const Visit& visit) const {
        return has_previous(Stage{stage_}, visit.chunk);
    }

    [[nodiscard]] bool feeds(const Visit& visit) const {
        return pipeline_.has_next(Stage{stage_}, visit.chunk);
    }

    [[nodiscard]] bool first() const { return stage_ == 0; }

    [[nodiscard]] bool last() const { return stage_ == layout_.pp - 1; }

    [[nodiscard]] Milestones& milestones(const Visit& visit) {
        return milestones_[static_cast<std::size_t>(visit.chunk * pipeline_.micro_batches +
                                                    visit.micro_batch)];
    }

    /// What the buffer's previous user left behind; nothing where there was none.
    [[nodiscard]] Milestones before(const BufferUse& use) {
        return use.before ? milestones(*use.before) : Milestones{};
    }

    const Layout& layout_;
    const TrainingSetup& setup_;
    std::int64_t stage_;
    Pipeline pipeline_;
    std::vector<ModelChunk> chunks_;
    StepProgram program_;
    std::optional<GroupId> tp_;
    std::optional<ContextParallel> cp_;
    std::optional<ShardGroup> dp_;
    std::optional<GroupId> ep_;
    std::optional<ShardGroup> expert_dp_;
    std::optional<GroupId> pp_;
    std::optional<GroupId> embedding_;
    std::optional<GroupId> model_group_;
    StageContext context_;
    StageBuffers buffers_;
    Scalars scalars_;
    EdgeBlocks edges_;
    std::vector<LayerBlocks> layers_;
    std::vector<Milestones> milestones_;
    TaskList tasks_;
    ParameterSync weights_;
    GradientSync gradients_;
};

}  // namespace traindyno
