// SPDX-License-Identifier: Apache-2.0
// When each stage runs each pass: a schedule executed without a device.
#pragma once

#include <functional>
#include <vector>

#include "emulator/program/build.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

/// A pass of one stage, on the clock of the step.
struct TimedPass {
    Pass pass;
    SimTime begin{0};
    SimTime end{0};
};

struct PassTimeline {
    Pipeline pipeline;
    std::vector<std::vector<TimedPass>> stages;  ///< in order of time
    SimTime end{0};                              ///< of the last pass of any stage

    /// Time in which the stage runs no pass.
    [[nodiscard]] SimTime idle(std::size_t stage) const;
    /// Average over the stages.
    [[nodiscard]] double mean_idle_seconds() const;
    /// Of one micro-batch in the average stage. Without a pass of their own, weight gradients are
    /// part of `backward`.
    [[nodiscard]] PassTimes mean_times() const;
};

using OpTime = std::function<SimTime(const ComputeOp& op)>;

/// Runs the programs of one rank of each stage, in which traffic takes no time. Without `op_time`
/// each pass takes 1 s, whatever it does: the unit time of the papers' figures.
[[nodiscard]] PassTimeline pass_timeline(const Model& model,
                                         const Layout& layout,
                                         const TrainingSetup& setup,
                                         const OpTime& op_time = {});

}  // namespace traindyno
