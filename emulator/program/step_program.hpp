// SPDX-License-Identifier: Apache-2.0
// A training step of one rank as data: blocks of operations, and tasks that run them in order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/program/op.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// In-order queues, as CUDA streams are: operations of one lane never overtake each other.
enum class Lane : std::uint8_t {
    compute,
    tp,
    cp,            ///< keys and values of all parts of the sequence
    cp_send,       ///< keys and values to the next rank of the ring
    cp_recv,       ///< and from the previous one
    ep,            ///< tokens to and from experts
    dp,            ///< gradients and sharded parameters
    dp_replicate,  ///< gradients over the replicas of a shard group
    expert_dp,     ///< gradients of experts
    embedding,
    model,
    pp_recv_forward,   ///< activations from the previous stage
    pp_send_forward,   ///< activations to the next stage
    pp_recv_backward,  ///< gradients from the next stage
    pp_send_backward,  ///< gradients to the previous stage
};

template <>
struct EnumNames<Lane> {
    static constexpr auto names = enum_table<Lane>("compute",
                                                   "tp",
                                                   "cp",
                                                   "cp_send",
                                                   "cp_recv",
                                                   "ep",
                                                   "dp",
                                                   "dp_replicate",
                                                   "expert_dp",
                                                   "embedding",
                                                   "model",
                                                   "pp_recv_forward",
                                                   "pp_send_forward",
                                                   "pp_recv_backward",
                                                   "pp_send_backward");
};

enum class Phase : std::uint8_t {
    forward,
    backward,
    recompute,
    optimizer,
    weights,  ///< gradients of weights, where backward leaves them out
};

template <>
struct EnumNames<Phase> {
    static constexpr auto names =
        enum_table<Phase>("forward", "backward", "recompute", "optimizer", "weights");
};

/// One operation of a block. It starts when the earlier operations of its lane, the operations in
/// `after` and all tasks in its task's `after` are complete.
struct BlockOp {
    Op op;
    Lane lane = Lane::compute;
    Phase phase = Phase::forward;
    std::vector<std::uint32_t> after;  ///< earlier operations of the same block, on other lanes

    friend bool operator==(const BlockOp&, const BlockOp&) = default;
};

/// Operations that belong together, such as one layer's backward. Built once, run by many tasks.
struct Block {
    std::string name;
    std::vector<BlockOp> ops;

    friend bool operator==(const Block&, const Block&) = default;
};

/// One run of a block. Complete when all its operations are.
struct Task {
    BlockId block;
    MicroBatch micro_batch;
    LayerIndex layer;                 ///< global layer, for reports; 0 outside layers
    std::int64_t parameter_base = 0;  ///< added to Slice::offset of parameters and all that goes
                                      ///< with them: gradients, optimizer state
    std::int64_t gradient_shift = 0;  ///< added beside it in gradient space, where sharding keeps
                                      ///< gradients elsewhere than weights
    std::int64_t saved_base = 0;      ///< added to Slice::offset in saved space
    std::int32_t tag_base = 0;        ///< added to the tag of sends and receives
    std::vector<TaskId> after;        ///< earlier tasks of the step

    friend bool operator==(const Task&, const Task&) = default;

    [[nodiscard]] std::int64_t base_of(Space space) const {
        switch (space) {
            case Space::parameter:
            case Space::master:
            case Space::adam_m:
            case Space::adam_v:
                return parameter_base;
            case Space::gradient:
                return parameter_base + gradient_shift;
            case Space::saved:
                return saved_base;
            case Space::workspace:
            case Space::scalar:
                return 0;
        }
        return 0;
    }
};

/// Elements a rank needs in each space.
struct Extents {
    std::int64_t parameter = 0;
    std::int64_t saved = 0;
    std::int64_t workspace = 0;
    std::int64_t scalar = 0;
    std::optional<std::int64_t> gradient{};  ///< as many as parameters unless given
    std::optional<std::int64_t> state{};     ///< of master, adam_m and adam_v each; likewise

    friend bool operator==(const Extents&, const Extents&) = default;
};

/// The step of one rank. A regular value: compare it, print it, verify it, run it on any device.
struct StepProgram {
    WorldRank rank;
    Stage stage;
    Precision precision = Precision::fp32;  ///< of products; storage_type() of it is in memory
    DType gradient_type = DType::fp32;
    Extents extents;
    std::vector<Group> groups;  ///< every group this rank communicates in
    std::vector<Block> blocks;
    std::vector<Task> tasks;  ///< in issue order: each lane runs its operations in this order

    friend bool operator==(const StepProgram&, const StepProgram&) = default;
};

[[nodiscard]] std::int64_t extent_of(const Extents& extents, Space space);

/// Calls `visit(OptimizerStep, Task)` for every update whose master weights lie elsewhere than the
/// weights.
template <class Visit>
void for_each_sharded_update(const StepProgram& program, Visit&& visit) {
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks[task.block.index()].ops) {
            const auto* compute = std::get_if<ComputeOp>(&op.op);
            const auto* step = compute == nullptr ? nullptr : std::get_if<OptimizerStep>(compute);
            if (step != nullptr && step->weight_shift != 0) {
                visit(*step, task);
            }
        }
    }
}

/// Element type of `space` in the program's memory.
[[nodiscard]] inline DType dtype_in(const StepProgram& program, Space space) {
    return dtype_of(space, storage_type(program.precision), program.gradient_type);
}

}  // namespace traindyno
