// SPDX-License-Identifier: Apache-2.0
// Finds operations of a step program that could touch memory at the wrong time.
#pragma once

#include <string>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

/// What the functions below find in a sound program.
inline const std::vector<std::string> none;

/// Pairs of operations that may run at once although one writes what the other uses.
std::vector<std::string> races_in(const StepProgram& program);

/// Reads of memory that this step has not written, or has written for another micro-batch.
std::vector<std::string> stale_reads_in(const StepProgram& program);

/// Operations whose results overlap their operands, other than the kinds that work in place.
std::vector<std::string> overlaps_in(const StepProgram& program);

}  // namespace traindyno
