// SPDX-License-Identifier: Apache-2.0
// The parts of verify: each relies on those before it having found nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emulator/program/findings.hpp"
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

/// For each program, the index of each of its groups among all groups of all programs.
struct GroupIndex {
    std::vector<std::vector<std::uint32_t>> of_program;
    std::vector<const Group*> groups;
};

/// Members of a group all know it with the same members.
[[nodiscard]] GroupIndex check_groups(std::span<const StepProgram> programs, Findings& findings);

/// Collectives agree in order, size, type and reduction; sends and receives pair up.
void check_traffic(std::span<const StepProgram> programs,
                   const GroupIndex& groups,
                   Findings& findings);

/// Runs lanes, dependencies and traffic of all ranks to the end; names what gets stuck. A send
/// completes only once its receive is posted, as large messages do.
void check_execution(std::span<const StepProgram> programs,
                     const GroupIndex& groups,
                     Findings& findings);

}  // namespace traindyno
