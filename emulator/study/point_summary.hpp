// SPDX-License-Identifier: Apache-2.0
// Condenses what every rank saw into one Point. Pure.
#pragma once

#include <string>
#include <vector>

#include "emulator/engine/reduction_check.hpp"
#include "emulator/study/measure_point.hpp"
#include "emulator/study/point_sampler.hpp"

namespace traindyno {

/// One rank's contribution.
struct RankRecord {
    std::string host;
    std::string device;
    FlopRate peak{0};  ///< of the device; 0 = unknown
    std::int64_t resident_bytes = 0;
    ReductionChecks checks;
    RankSamples samples;
};

/// Rank records as text for the wire, and back: unpack(pack(r)) equals r.
[[nodiscard]] std::string pack(const RankRecord& record);
[[nodiscard]] RankRecord unpack(const std::string& text);

/// `records[r]` belongs to rank r of plan.layout. Fills everything measured and what follows from
/// one point alone; `complete(Study&)` adds what needs the others.
[[nodiscard]] Point summarize_point(const PointPlan& plan,
                                    std::int64_t nodes,
                                    const std::vector<RankRecord>& records);

}  // namespace traindyno
