// SPDX-License-Identifier: Apache-2.0
// What happened in a step: one span per operation, whoever executed it.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/base/units.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// One operation as it ran. `begin` of a communication is when this rank arrived at it (posted it).
struct Span {
    TaskId task;
    std::uint32_t op = 0;  ///< index into the task's block
    SimTime begin{0};
    SimTime end{0};

    friend bool operator==(const Span&, const Span&) = default;
};

/// One step of one rank; spans in program order, times on the study's common clock.
struct StepTrace {
    SimTime begin{0};
    SimTime end{0};  ///< the next step's begin
    std::vector<Span> spans;

    friend bool operator==(const StepTrace&, const StepTrace&) = default;
};

/// All traced steps of one rank, with the program they ran.
struct Trace {
    const StepProgram* program = nullptr;  ///< outlives the trace
    std::vector<StepTrace> steps;
};

}  // namespace traindyno
