// SPDX-License-Identifier: Apache-2.0
// What an import sets a flag to.
#pragma once

#include <string>

#include "emulator/importer/imported.hpp"

namespace traindyno::test {

inline std::string setting(const Imported& imported, const std::string& flag) {
    const auto found = imported.settings.find(flag);
    return found == imported.settings.end() ? "(none)" : found->second.value;
}

}  // namespace traindyno::test
