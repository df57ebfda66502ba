// SPDX-License-Identifier: Apache-2.0
// Which workspace outlives a task: read by a later task of the step before it is written again.
#pragma once

#include <vector>

#include "emulator/device/kernel_plan/interval_set.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// For each block of `program` the elements of Space::workspace that are still read after at least
/// one of the tasks that run it.
[[nodiscard]] std::vector<IntervalSet> live_workspace(const StepProgram& program);

}  // namespace traindyno
