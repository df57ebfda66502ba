// SPDX-License-Identifier: Apache-2.0
// Flags as `traindyno run --model gpt3-125m` with further flags gives them.
#pragma once

#include <map>
#include <string>

#include "emulator/cli/flags.hpp"

namespace traindyno {

inline Flags flags_of(const std::map<std::string, std::string>& values) {
    Flags flags{.command = Command::run, .values = {}, .points = {}, .positionals = {}};
    flags.values["model"] = {.text = "gpt3-125m", .origin = "--model"};
    for (const auto& [name, text] : values) {
        flags.values[name] = {.text = text, .origin = "--" + name};
    }
    return flags;
}

}  // namespace traindyno
