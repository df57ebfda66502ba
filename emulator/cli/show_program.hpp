// SPDX-License-Identifier: Apache-2.0
// A pipeline schedule as text one can read.
#pragma once

#include <string>

#include "emulator/program/pass_timeline.hpp"

namespace traindyno {

/// One row per stage: passes where they run in time, "F3" or with several chunks "F3.1" (chunk 1),
/// dots where the stage idles. Every pass is wide enough for its name.
[[nodiscard]] std::string grid_text(const PassTimeline& timeline);

/// The idle time of the schedule, beside what its formula gives for the same pass times.
/// `time_unit` is "" for unit time, else "s".
[[nodiscard]] std::string bubble_text(const PassTimeline& timeline, const std::string& time_unit);

}  // namespace traindyno
