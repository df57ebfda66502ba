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
        if (op.phase == Phase::weights) {
            return Direction::weights;
        }
        if (op.phase == Phase::forward) {
            direction = Direction::forward;
        }
    }
    return direction;
}

/// How often each layer runs for each micro-batch of one rank, and in which order.
class LayerRuns {
  public:
    explicit LayerRuns(const StepProgram& program) : program_(program) {
        std::vector<std::optional<Direction>> directions;
        for (const Block& block : program.blocks) {
            directions.push_back(direction_of(block));
        }
        for (const Task& task : program.tasks) {
            if (const auto direction = directions[task.block.index()]) {
                Counts& counts = counts_[{task.layer, task.micro_batch}];
                ++counts[static_cast<std::size_t>(*direction)];
                early_ = early_ || is_early(counts);
                micro_batches_ = std::max(micro_batches_, task.micro_batch.value() + 1);
                blocks_.emplace_back(task.block, task.layer, task.micro_batch);
            }
        }
    }

    [[nodiscard]] std::int32_t micro_batches() const { return micro_batches_; }

    void find_disorder(Findings& findings) const {
        if (early_) {
            findings.add(fmt::format(
                "rank {}: a micro-batch goes backward through a layer before it went forward, or "
                "its weight gradients come before its backward",
                program_.rank.value()));
        }
    }

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
        // Forwards and backwards come in equal numbers; weight gradients may be left to backward.
        std::map<LayerIndex, Counts> most;
        for (const auto& [key, counts] : counts_) {
            Counts& wanted = most[key.first];
            wanted[0] = wanted[1] = std::max({wanted[0], counts[0], counts[1]});
            wanted[2] = std::max(wanted[2], counts[2]);
        }
        for (const auto& [layer, wanted] : most) {
            for (std::int32_t micro_batch = 0; micro_batch < micro_batches; ++micro_batch) {
                const auto found = counts_.find({layer, MicroBatch{micro_batch}});
                const Counts counts = found == counts_.end() ? Counts{} : found->second;
                for (std::size_t direction = 0; direction < counts.size(); ++direction) {
                    if (counts[direction] < wanted[direction]) {
                        findings.add(
                            fmt::format("rank {}: micro-batch {} does not go {} through "
                                        "layer {}",
                                        program_.rank.value(),
                                        micro_batch,
                                        to_string(static_cast<Direction>(direction)),
                                        layer.value()));
                    }
                }
            }
        }
    }

  private:
    using Counts = std::array<std::int32_t, enum_count<Direction>>;

    [[nodiscard]] static bool is_early(const Counts& counts) {
        return counts[1] > counts[0] || counts[2] > counts[1];
    }

    const StepProgram& program_;
    std::map<std::pair<LayerIndex, MicroBatch>, Counts> counts_;
    std::vector<std::tuple<BlockId, LayerIndex, MicroBatch>> blocks_;
    std::int32_t micro_batches_ = 0;
    bool early_ = false;
};

}  // namespace

void check_micro_batches(std::span<const StepProgram> programs, Findings& findings) {
    std::vector<LayerRuns> ranks;
    std::int32_t most = 0;
    for (const StepProgram& program : programs) {
        most = std::max(most, ranks.emplace_back(program).micro_batches());
    }
    for (LayerRuns& runs : ranks) {
        runs.find_disorder(findings);
        runs.find_repeated(findings);
        runs.find_missing(most, findings);
    }
}

}  // namespace traindyno
