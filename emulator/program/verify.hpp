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

/// The same for programs that stand for those of all `ranks`: one of each pipeline stage, which
/// form a pp group. Ranks of one stage have equal programs but for their numbers and the places of
/// their shards, so that the others' collectives are those of the stage's rank. Costs what one
/// pipeline costs, however many replicas there are.
[[nodiscard]] std::vector<std::string> verify_stages(std::span<const StepProgram> programs,
                                                     std::int64_t ranks);

}  // namespace traindyno
