// SPDX-License-Identifier: Apache-2.0
// The parts of verify: each relies on those before it having found nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emulator/program/findings.hpp"
#include "emulator/program/program_set.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// "rank 2 task 14 (layer_forward, micro-batch 1, layer 3) op 5"
[[nodiscard]] std::string place_of(const StepProgram& program, TaskId task, std::uint32_t op);

/// "all_reduce of 4096 bytes fp32 sum in tp group {0, 1}"
[[nodiscard]] std::string description_of(const StepProgram& program, const CommOp& op);

[[nodiscard]] std::string description_of(const Group& group);

/// One program by itself: references, dependencies, slices, lanes.
void check_program(const StepProgram& program,
                   WorldRank rank,
                   std::int64_t ranks,
                   Findings& findings);

/// Every rank runs every micro-batch through each of its layers once in either direction.
void check_micro_batches(std::span<const StepProgram> programs, Findings& findings);

/// Collectives agree in order, size, type and reduction; sends and receives pair up. What goes to
/// ranks without a program is taken to have its counterpart.
void check_traffic(const ProgramSet& set, Findings& findings);

/// Runs lanes, dependencies and traffic of all programs to the end; names what gets stuck.
void check_execution(const ProgramSet& set, Findings& findings);

}  // namespace traindyno
