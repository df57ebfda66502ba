// SPDX-License-Identifier: Apache-2.0
// Refuses programs that do not fit, before anything is allocated.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/program/memory.hpp"

namespace traindyno {

/// What this process may still allocate: MemAvailable of the host or the room left in its control
/// groups (v2 and v1), whichever is less. `root` holds proc/ and sys/.
[[nodiscard]] Bytes available_memory(const std::filesystem::path& root = "/");

/// Throws ConfigError with a table of `items`, which `limit` does not hold.
[[noreturn]] void refuse_memory(const std::vector<MemoryItem>& items,
                                Bytes limit,
                                std::string_view limit_name);

/// Throws ConfigError with a table of `items` when they need more than `limit`.
void require_fit(const std::vector<MemoryItem>& items, Bytes limit, std::string_view limit_name);

}  // namespace traindyno
