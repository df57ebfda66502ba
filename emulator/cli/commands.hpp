// SPDX-License-Identifier: Apache-2.0
// The subcommands. Each returns the exit code and throws Error for main to print.
#pragma once

#include <string>
#include <vector>

#include "collectives/mpi/session.hpp"
#include "emulator/base/error.hpp"
#include "emulator/cli/flags.hpp"

namespace traindyno {

/// `scale` and `run`: measures on all ranks of `session`. `command_line` is recorded in the study.
[[nodiscard]] ExitCode measure_command(const Flags& flags,
                                       Problems& problems,
                                       MpiSession& session,
                                       const std::string& command_line);

/// `collectives`: measures on all ranks of `session`. ExitCode::internal where a value was wrong.
[[nodiscard]] ExitCode collectives_command(const Flags& flags,
                                           Problems& problems,
                                           MpiSession& session,
                                           const std::string& command_line);

[[nodiscard]] ExitCode describe_command(const Flags& flags, Problems& problems);

[[nodiscard]] ExitCode show_program_command(const Flags& flags, Problems& problems);

/// What a report lacks, on standard error.
void print_notes(const std::vector<std::string>& notes);

[[nodiscard]] ExitCode report_command(const Flags& flags, Problems& problems);

}  // namespace traindyno
