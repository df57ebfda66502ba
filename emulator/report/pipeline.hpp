// SPDX-License-Identifier: Apache-2.0
// The pipeline schedule of a study in unit time.
#pragma once

#include <optional>

#include "emulator/program/pass_timeline.hpp"
#include "emulator/report/charts.hpp"
#include "emulator/report/document.hpp"

namespace traindyno {

struct DrawnPipeline {
    PassTimeline timeline;           ///< of the first micro-batches
    std::int64_t micro_batches = 0;  ///< of the measured step
};

/// Of the largest point with several stages; nothing where there is none.
[[nodiscard]] std::optional<DrawnPipeline> drawn_pipeline(const Study& study);

[[nodiscard]] Chart schedule_chart(const DrawnPipeline& drawn);

/// Nothing without pipeline parallelism.
[[nodiscard]] std::optional<Section> pipeline_section(const Study& study);

}  // namespace traindyno
