// SPDX-License-Identifier: Apache-2.0
// traindyno: parses the command line, runs one subcommand, turns errors into messages and exit
// codes.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

#include "collectives/mpi/session.hpp"
#include "emulator/cli/commands.hpp"
#include "emulator/cli/flags.hpp"
#include "emulator/cli/version.hpp"

namespace traindyno {
namespace {

/// Rank among the processes of a launcher, from its environment; 0 without a launcher. Commands
/// that do not measure print once even under mpirun, and need no MPI for it.
int launcher_rank() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing else runs yet, and nobody sets variables
        if (const char* value = std::getenv(name)) {
            return std::atoi(value);
        }
    }
    return 0;
}

bool needs_mpi(Command command) {
    return command == Command::scale || command == Command::run || command == Command::collectives;
}

int code(ExitCode exit_code) {
    return static_cast<int>(exit_code);
}

void print_error(const Error& error) {
    fmt::print(stderr, "traindyno: {}\n", error.what());
    std::fflush(stderr);
}

std::string command_line(std::span<char* const> arguments) {
    std::string line;
    for (const char* argument : arguments) {
        line += (line.empty() ? "" : " ") + std::string(argument);
    }
    return line;
}

/// Input and launch errors are found by all ranks alike: rank 0 reports, everybody finalizes. Any
/// other error may be one rank's own: it reports and takes the job down with it.
int run_with_mpi(int argc, char** argv, const Flags& flags, Problems& problems) {
    MpiSession session(argc, argv);
    try {
        const auto arguments = std::span(argv, static_cast<std::size_t>(argc));
        const auto command =
            flags.command == Command::collectives ? &collectives_command : &measure_command;
        return code(command(flags, problems, session, command_line(arguments)));
    } catch (const Error& error) {
        const bool everywhere =
            error.exit_code() == ExitCode::usage || error.exit_code() == ExitCode::launch;
        if (everywhere) {
            // Singletons started by one launcher are all rank 0 of their own worlds.
            if (session.rank() == WorldRank{0} && launcher_rank() == 0) {
                print_error(error);
            }
            return code(error.exit_code());
        }
        session.abort(code(error.exit_code()), error.what());
    } catch (const std::exception& error) {
        session.abort(code(ExitCode::internal), error.what());
    }
    return code(ExitCode::internal);
}

ExitCode run_command(const Flags& flags, Problems& problems) {
    switch (flags.command) {
        case Command::describe:
            return describe_command(flags, problems);
        case Command::show_program:
            return show_program_command(flags, problems);
        default:
            return report_command(flags, problems);
    }
}

int run_alone(const Flags& flags, Problems& problems) {
    if (launcher_rank() != 0) {
        return code(ExitCode::done);
    }
    try {
        problems.throw_if_any();
        return code(run_command(flags, problems));
    } catch (const Error& error) {
        print_error(error);
        return code(error.exit_code());
    } catch (const std::exception& error) {
        fmt::print(stderr, "traindyno: {}\n", error.what());
        return code(ExitCode::internal);
    }
}

int run(int argc, char** argv) {
    Problems problems;
    const auto arguments =
        std::span<const char* const>(argv, static_cast<std::size_t>(argc)).subspan(1);
    const ParsedArguments parsed = parse_arguments(arguments, version_text, problems);
    if (parsed.information) {
        if (launcher_rank() == 0) {
            fmt::print("{}", parsed.information->text);
        }
        return code(ExitCode::done);
    }
    if (needs_mpi(parsed.flags.command)) {
        return run_with_mpi(argc, argv, parsed.flags, problems);
    }
    return run_alone(parsed.flags, problems);
}

}  // namespace
}  // namespace traindyno

int main(int argc, char** argv) {
    try {
        return traindyno::run(argc, argv);
    } catch (const std::exception& error) {
        std::fputs(error.what(), stderr);
        std::fputs("\n", stderr);
        return static_cast<int>(traindyno::ExitCode::internal);
    }
}
