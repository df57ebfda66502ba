// SPDX-License-Identifier: Apache-2.0
// All ranks of a job on timed devices in one process, each run by an engine of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno::test {

/// Runs `steps` steps. Returns "" where all ranks came to the end and all that they exchanged was
/// right, else what is wrong; of a deadlock, what each rank waits for. Which of several things that
/// may happen next does is decided by the seed.
[[nodiscard]] std::string run_in_process(const std::vector<StepProgram>& programs,
                                         std::int64_t steps,
                                         std::uint64_t seed);

}  // namespace traindyno::test
