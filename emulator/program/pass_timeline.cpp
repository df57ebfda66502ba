// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/pass_timeline.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "emulator/base/error.hpp"
#include "emulator/program/execution.hpp"

namespace traindyno {

namespace {

constexpr SimTime unit_time = std::chrono::seconds{1};

std::optional<Direction> pass_direction(const Block& block) {
    if (!std::holds_alternative<ComputeOp>(block.ops.front().op)) {
        return std::nullopt;
    }
    switch (block.ops.front().phase) {
        case Phase::forward:
            return Direction::forward;
        case Phase::backward:
        case Phase::recompute:
            return Direction::backward;
        case Phase::weights:
            return Direction::weights;
        case Phase::optimizer:
            break;
    }
    return std::nullopt;
}

/// The passes of one program, task by task.
class PassMap {
  public:
    PassMap(const StepProgram& program, const std::vector<ModelChunk>& chunks) {
        std::set<std::tuple<Direction, std::int64_t, std::int64_t>> seen;
        for (const Task& task : program.tasks) {
            const auto direction = pass_direction(program.blocks[task.block.index()]);
            if (!direction) {
                passes_.emplace_back();
                decisive_.push_back(0);
                continue;
            }
            const std::int64_t chunk = chunk_of(task.layer.value(), chunks);
            const Visit visit{.chunk = std::max<std::int64_t>(chunk, 0),
                              .micro_batch = task.micro_batch.value()};
            if (chunk < 0) {  // the head of the last stage, which runs right before backward
                passes_.emplace_back(
                    Pass{.direction = Direction::backward,
                         .visit = {.chunk = static_cast<std::int64_t>(chunks.size()) - 1,
                                   .micro_batch = visit.micro_batch}});
                decisive_.push_back(0);
                continue;
            }
            const ModelChunk& layers = chunks[static_cast<std::size_t>(chunk)];
            const bool last_layer = *direction == Direction::forward
                                        ? task.layer.value() == layers.first + layers.layers - 1
                                        : task.layer.value() == layers.first;
            passes_.emplace_back(Pass{.direction = *direction, .visit = visit});
            decisive_.push_back(
                last_layer && seen.emplace(*direction, chunk, visit.micro_batch).second ? 1 : 0);
        }
    }

    [[nodiscard]] const std::optional<Pass>& of(TaskId task) const { return passes_[task.index()]; }

    /// Whether the task is the one with the last layer of its pass.
    [[nodiscard]] bool decides(TaskId task) const { return decisive_[task.index()] != 0; }

  private:
    static std::int64_t chunk_of(std::int64_t layer, const std::vector<ModelChunk>& chunks) {
        for (std::size_t c = 0; c < chunks.size(); ++c) {
            if (layer >= chunks[c].first && layer < chunks[c].first + chunks[c].layers) {
                return static_cast<std::int64_t>(c);
            }
        }
        return -1;
    }

    std::vector<std::optional<Pass>> passes_;
    std::vector<std::uint8_t> decisive_;
};

/// Passes that follow each other without a break in between are one.
void add_pass(std::vector<TimedPass>& passes, const TimedPass& next) {
    if (!passes.empty() && passes.back().pass == next.pass) {
        passes.back().end = next.end;
    } else {
        passes.push_back(next);
    }
}

class Clockwork {
  public:
    Clockwork(const std::vector<StepProgram>& programs,
              std::vector<PassMap> maps,
              const OpTime& op_time)
        : maps_(std::move(maps)),
          op_time_(op_time),
          set_(programs),
          execution_(set_, [this](std::size_t program, OpIndex index) {
              return duration(program, index);
          }) {
        execution_.run();
    }

    [[nodiscard]] std::vector<TimedPass> passes_of(std::size_t program) const {
        std::vector<TimedPass> passes;
        const RankProgress& rank = execution_.ranks()[program];
        TD_EXPECT(rank.finished());
        for (const OpIndex index : rank.order().lane(Lane::compute)) {
            const auto& pass = maps_[program].of(rank.order().ops()[index].task);
            const SimTime length = duration(program, index);
            if (pass && length > SimTime{0}) {
                const SimTime end = rank.end_of(index);
                add_pass(passes, {.pass = *pass, .begin = end - length, .end = end});
            }
        }
        return passes;
    }

  private:
    [[nodiscard]] SimTime duration(std::size_t program, OpIndex index) const {
        const IssueOrder& order = execution_.ranks()[program].order();
        const auto* compute = std::get_if<ComputeOp>(&order.block_op(index).op);
        const TaskId task = order.ops()[index].task;
        if (compute == nullptr || !maps_[program].of(task)) {
            return SimTime{0};
        }
        if (op_time_) {
            return op_time_(*compute);
        }
        const bool first = order.ops()[index].in_block == 0;
        return first && maps_[program].decides(task) ? unit_time : SimTime{0};
    }

    std::vector<PassMap> maps_;
    const OpTime& op_time_;
    ProgramSet set_;
    Execution execution_;
};

}  // namespace

SimTime PassTimeline::idle(std::size_t stage) const {
    SimTime idle = end;
    for (const TimedPass& pass : stages[stage]) {
        idle -= pass.end - pass.begin;
    }
    return idle;
}

double PassTimeline::mean_idle_seconds() const {
    double sum = 0;
    for (std::size_t stage = 0; stage < stages.size(); ++stage) {
        sum += to_seconds(idle(stage));
    }
    return sum / static_cast<double>(stages.size());
}

PassTimes PassTimeline::mean_times() const {
    PassTimes times;
    for (const std::vector<TimedPass>& passes : stages) {
        for (const TimedPass& pass : passes) {
            const double seconds = to_seconds(pass.end - pass.begin);
            switch (pass.pass.direction) {
                case Direction::forward:
                    times.forward += seconds;
                    break;
                case Direction::backward:
                    times.backward += seconds;
                    break;
                case Direction::weights:
                    times.weights += seconds;
                    break;
            }
        }
    }
    const auto runs = static_cast<double>(pipeline.stages * pipeline.micro_batches);
    return {.forward = times.forward / runs,
            .backward = times.backward / runs,
            .weights = times.weights / runs};
}

PassTimeline pass_timeline(const Model& model,
                           const Layout& layout,
                           const TrainingSetup& setup,
                           const OpTime& op_time) {
    PassTimeline timeline{.pipeline = pipeline_of(layout, setup), .stages = {}};
    std::vector<StepProgram> programs;
    std::vector<PassMap> maps;
    for (std::int64_t stage = 0; stage < layout.pp; ++stage) {
        programs.push_back(build_step(model, layout, setup, rank_at(layout, {.pp = stage})));
        maps.emplace_back(programs.back(), chunks_of(model, layout, setup, Stage{stage}));
    }
    const Clockwork run(programs, std::move(maps), op_time);
    for (std::size_t stage = 0; stage < programs.size(); ++stage) {
        timeline.stages.push_back(run.passes_of(stage));
        timeline.end = std::max(timeline.end, timeline.stages.back().back().end);
    }
    return timeline;
}

}  // namespace traindyno
