// SPDX-License-Identifier: Apache-2.0
// Measures one point: warms up, samples steps, and condenses all ranks' traces into a Point.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "collectives/communicator.hpp"
#include "emulator/engine/backend.hpp"
#include "emulator/gpu/telemetry.hpp"
#include "emulator/model/model.hpp"
#include "emulator/study/study.hpp"

namespace traindyno {

/// What to train at this point.
struct PointPlan {
    Model model;
    Layout layout;
    TrainingSetup setup;  ///< with the point's global batch
};

struct MeasureOptions {
    std::optional<std::int64_t> steps;   ///< measure exactly these
    std::optional<std::int64_t> warmup;  ///< warm up exactly these
    double ci = 0.01;
    double max_seconds = 60;
    double timeout_seconds = 120;
    std::uint64_t seed = 1;
    Tracing tracing = Tracing::on;
};

/// This rank's place, for ranks_detail.
struct RankPlace {
    std::string host;
    std::int64_t nodes = 1;  ///< hosts among the point's ranks
};

/// Called on rank 0 with a line about what is going on.
using Progress = std::function<void(const std::string&)>;

struct PointContext {
    const PointPlan& plan;
    const MeasureOptions& options;
    const RankPlace& place;
    Waiting waiting = Waiting::poll;
    Progress progress;
    TelemetrySource* gpu = nullptr;  ///< of this rank's GPU, sampled during the measured steps
    Progress note = nullptr;         ///< the same for what is to stay: how the device computes
};

/// Collective over `ranks`, one rank per cell of plan.layout; what `backend` makes lives as long as
/// the call. Returns the point on rank 0, nothing elsewhere. Throws ConfigError on all ranks when a
/// device refuses the program on any.
[[nodiscard]] std::optional<Point> measure_point(Communicator& ranks,
                                                 Backend& backend,
                                                 const PointContext& context);

}  // namespace traindyno
