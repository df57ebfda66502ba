// SPDX-License-Identifier: Apache-2.0
// What happened in a step: one span per operation, whoever executed it.
#pragma once

#include <vector>

#include "emulator/base/units.hpp"

namespace traindyno {

/// One operation as it ran. `begin` of a communication is when this rank arrived at it (posted it).
struct Span {
    SimTime begin{0};
    SimTime end{0};

    friend bool operator==(const Span&, const Span&) = default;

    [[nodiscard]] SimTime length() const { return end - begin; }
};

/// One step of one rank. spans[i] belongs to operation i of the program's IssueOrder; empty when
/// the step was not traced. Times are on the clock of the rank that recorded them.
struct StepTrace {
    SimTime begin{0};
    SimTime end{0};  ///< before the runner reads what it recorded, which no training does
    std::vector<Span> spans;

    friend bool operator==(const StepTrace&, const StepTrace&) = default;

    [[nodiscard]] SimTime length() const { return end - begin; }
};

}  // namespace traindyno
