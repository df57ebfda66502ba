// SPDX-License-Identifier: Apache-2.0
// Proves that the programs of all ranks fit together before anything runs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

/// What is wrong with a set of programs, rank r at index r; empty when they run to the end:
/// groups agree on members, collectives agree in order, size, type and reduction per group, every
/// send meets its receive with equal bytes, slices stay inside their extents, dependencies point
/// backwards, each micro-batch goes forward and backward exactly once per stage, and no cycle of
/// waits (deadlock).
[[nodiscard]] std::vector<std::string> verify(std::span<const StepProgram> programs);

}  // namespace traindyno
