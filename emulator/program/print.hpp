// SPDX-License-Identifier: Apache-2.0
// Step programs as text one can read and diff, in the spirit of LogGOPSim's GOAL.
#pragma once

#include <string>

#include "emulator/program/step_program.hpp"

namespace traindyno {

[[nodiscard]] std::string print(const StepProgram& program);

/// Inverse of `print`: `parse(print(p)) == p`. Throws ConfigError naming the line.
[[nodiscard]] StepProgram parse_program(const std::string& text);

}  // namespace traindyno
