// SPDX-License-Identifier: Apache-2.0
// Flags of all subcommands: one table, read from the command line and from --study files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/importer/imported.hpp"

namespace traindyno {

enum class Command : std::uint8_t { scale, run, describe, show_program, report, collectives };

/// A value as the user wrote it, and where: "--tp" or "study.toml:12: tp".
struct FlagValue {
    std::string text;
    std::string origin;
};

/// A point of a study file: [[point]] with ranks and, if it differs, its own layout flags.
struct FlagPoint {
    std::map<std::string, FlagValue> values;
};

/// What was read from another trainer's configuration.
struct FlagImport {
    std::string source;  ///< "Megatron-LM"
    Imported content;
};

/// Everything the user said, untyped. Keys are flag names without dashes.
struct Flags {
    Command command = Command::scale;
    std::map<std::string, FlagValue> values;
    std::vector<FlagPoint> points;         ///< from --study
    std::vector<std::string> positionals;  ///< report: result folders
    std::vector<FlagImport> imports{};     ///< their settings are in `values` already

    [[nodiscard]] const FlagValue* find(std::string_view name) const {
        const auto found = values.find(std::string(name));
        return found == values.end() ? nullptr : &found->second;
    }

    [[nodiscard]] bool given(std::string_view name) const { return find(name) != nullptr; }
};

/// What the command line asks for when it is not a command: text to print, exit code 0.
struct Information {
    std::string text;
};

struct ParsedArguments {
    std::optional<Information> information;  ///< --help or --version
    Flags flags;
};

/// Reads the arguments after the program name. Unknown flags and commands, missing values and wrong
/// keys in a study file are added to `problems`, with suggestions. `version` gives what
/// --version prints; it is not called for anything else.
[[nodiscard]] ParsedArguments parse_arguments(std::span<const char* const> arguments,
                                              const std::function<std::string()>& version,
                                              Problems& problems);

}  // namespace traindyno
