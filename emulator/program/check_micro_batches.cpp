// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "emulator/program/schedule.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

namespace {

/// Which way a block takes a micro-batch; none for communication, gradients and the optimizer.
std::optional<Direction> direction_of(const Block& block) {
    std::optional<Direction> direction;
    for (const BlockOp& op : block.ops) {
        if (!std::holds_alternative<ComputeOp>(op.op)) {
            continue;
        }
        if (op.phase == Phase::backward) {
            return Direction::backward;
        }
        if (op.phase == Phase::forward) {
            direction = Direction::forward;
        }
    }
    return direction;
}

constexpr std::string_view text_of(Direction direction) {
    return direction == Direction::forward ? "forward" : "backward";
}

/// How often each layer runs for each micro-batch of one rank.
class LayerRuns {
  public:
    explicit LayerRuns(const StepProgram& program) : program_(program) {
        std::vector<std::optional<Direction>> directions;
        for (const Block& block : program.blocks) {
            directions.push_back(direction_of(block));
        }
        for (const Task& task : program.tasks) {
            if (const auto direction = directions[task.block.index()]) {
                ++counts_[{task.layer, task.micro_batch}][static_cast<std::size_t>(*direction)];
                micro_batches_ = std::max(micro_batches_, task.micro_batch.value() + 1);
                blocks_.emplace_back(task.block, task.layer, task.micro_batch);
            }
        }
    }

    [[nodiscard]] std::int32_t micro_batches() const { return micro_batches_; }

    void find_repeated(Findings& findings) {
        std::sort(blocks_.begin(), blocks_.end());
        const auto twice = std::adjacent_find(blocks_.begin(), blocks_.end());
        if (twice != blocks_.end()) {
            findings.add(fmt::format("rank {}: micro-batch {} runs {} of layer {} twice",
                                     program_.rank.value(),
                                     std::get<2>(*twice).value(),
                                     program_.blocks[std::get<0>(*twice).index()].name,
                                     std::get<1>(*twice).value()));
        }
    }

    /// `micro_batches` of any rank; each layer must run as often as it does at most.
    void find_missing(std::int32_t micro_batches, Findings& findings) const {
        std::map<LayerIndex, std::int32_t> most;
        for (const auto& [key, counts] : counts_) {
            std::int32_t& count = most[key.first];
            count = std::max({count, counts[0], counts[1]});
        }
        for (const auto& [layer, wanted] : most) {
            for (std::int32_t micro_batch = 0; micro_batch < micro_batches; ++micro_batch) {
                const auto found = counts_.find({layer, MicroBatch{micro_batch}});
                const Counts counts = found == counts_.end() ? Counts{} : found->second;
                for (const Direction direction : {Direction::forward, Direction::backward}) {
                    if (counts[static_cast<std::size_t>(direction)] < wanted) {
                        findings.add(
                            fmt::format("rank {}: micro-batch {} does not go {} through "
                                        "layer {}",
                                        program_.rank.value(),
                                        micro_batch,
                                        text_of(direction),
                                        layer.value()));
                    }
                }
            }
        }
    }

  private:
    using Counts = std::array<std::int32_t, 2>;

    const StepProgram& program_;
    std::map<std::pair<LayerIndex, MicroBatch>, Counts> counts_;
    std::vector<std::tuple<BlockId, LayerIndex, MicroBatch>> blocks_;
    std::int32_t micro_batches_ = 0;
};

}  // namespace

void check_micro_batches(std::span<const StepProgram> programs, Findings& findings) {
    std::vector<LayerRuns> ranks;
    std::int32_t most = 0;
    for (const StepProgram& program : programs) {
        most = std::max(most, ranks.emplace_back(program).micro_batches());
    }
    for (LayerRuns& runs : ranks) {
        runs.find_repeated(findings);
        runs.find_missing(most, findings);
    }
}

}  // namespace traindyno
