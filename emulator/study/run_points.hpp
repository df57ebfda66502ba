// SPDX-License-Identifier: Apache-2.0
// One job, all points: the first ranks measure, the others wait without burning a core.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/study/measure_point.hpp"

namespace traindyno {

struct StudyRun {
    std::vector<PointPlan> points;  ///< in the order to measure
    MeasureOptions options;
    std::vector<std::string> hosts;  ///< of every rank of the job
    Waiting waiting = Waiting::poll;
    Progress progress;
    TelemetrySource* gpu = nullptr;              ///< of this rank's GPU; null without
    Progress note = nullptr;                     ///< PointContext::note
    std::function<void(const Point&)> on_point;  ///< on rank 0, as soon as a point is complete
};

/// Collective over `world`. Point p runs on ranks 0..p.layout.ranks()-1. What on_point or a device
/// refuses (ConfigError) ends the run with that error on every rank.
void run_points(Communicator& world, Backend& backend, const StudyRun& run);

}  // namespace traindyno
