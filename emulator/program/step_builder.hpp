// SPDX-License-Identifier: Apache-2.0
// Assembles the step of one rank: groups, blocks, and the tasks of its schedule.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/edge_blocks.hpp"
#include "emulator/program/gradient_sync.hpp"
#include "emulator/program/layer_blocks.hpp"
#include "emulator/program/parameter_sync.hpp"
#include "emulator/program/schedule.hpp"
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
        LayerEnds ends;
        BlockId forward;
        BlockId backward;
    };

    struct EdgeBlocks {
        BlockId embedding_forward;
        BlockId embedding_backward;
        BlockId head_forward;
        BlockId head_backward;
    };

    /// Tasks of each micro-batch that later ones wait for; absent where there is none.
    struct Milestones {
        std::optional<TaskId> first_layer_backward;
        std::optional<TaskId> last_layer_backward;
        std::optional<TaskId> send_forward;
        std::optional<TaskId> send_backward;
    };

    [[nodiscard]] std::optional<GroupId> join(GroupKind kind);
    [[nodiscard]] std::optional<ShardGroup> join_data_parallel(const Model& model);
    [[nodiscard]] std::vector<ParameterSync::Use> weight_uses() const;
    void write_edge_blocks();
    [[nodiscard]] const LayerBlocks& layer_blocks(const LayerEnds& ends);
    void grow_workspace(const Arena& scratch);

    void forward(std::int64_t micro_batch);
    void backward(std::int64_t micro_batch);
    void run_head(std::int64_t micro_batch);
    [[nodiscard]] std::optional<TaskId> receive_input(std::int64_t micro_batch);
    [[nodiscard]] std::optional<TaskId> receive_gradient(std::int64_t micro_batch);
    void send_output(std::int64_t micro_batch);
    void send_gradient(std::int64_t micro_batch);
    void optimize();

    [[nodiscard]] Task layer_task(BlockId block,
                                  std::int64_t layer,
                                  std::int64_t micro_batch) const;
    /// A task of the embedding or the head, which meet the layers at `layer`.
    [[nodiscard]] Task edge_task(BlockId block, std::int64_t layer, std::int64_t micro_batch) const;
    /// Tag of a message across the boundary above `stage`; unique in the step together with
    /// tag_base_of.
    [[nodiscard]] static std::int32_t tag_of(std::int64_t stage, Direction direction);
    [[nodiscard]] std::int32_t tag_base_of(std::int64_t micro_batch) const;
    [[nodiscard]] Task message_task(Lane lane, const CommOp& op, std::int64_t micro_batch);

    [[nodiscard]] bool first() const { return stage_ == 0; }

    [[nodiscard]] bool last() const { return stage_ == layout_.pp - 1; }

    [[nodiscard]] Milestones& milestones(std::int64_t micro_batch) {
        return milestones_[static_cast<std::size_t>(micro_batch)];
    }

    /// What the micro-batch `distance` earlier left behind; nothing before the first.
    [[nodiscard]] Milestones before(std::int64_t micro_batch, std::int64_t distance) const {
        return micro_batch < distance
                   ? Milestones{}
                   : milestones_[static_cast<std::size_t>(micro_batch - distance)];
    }

    const Layout& layout_;
    const TrainingSetup& setup_;
    std::int64_t stage_;
    std::int64_t micro_batches_;
    StepProgram program_;
    std::optional<GroupId> tp_;
    std::optional<ShardGroup> dp_;
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
