// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/memory_check.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "emulator/base/control_groups.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();

/// The number after `key` at the start of a line; the first number of the file for key "".
std::optional<std::int64_t> number_in(const std::filesystem::path& file, std::string_view key) {
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with(key)) {
            const std::size_t digit = line.find_first_of("0123456789", key.size());
            if (digit == std::string::npos) {
                return std::nullopt;  // "max"
            }
            // v1 writes a value near 2^63 for "no limit"; 18 digits hold every real size.
            return line.size() - digit > 20 ? unlimited : std::stoll(line.substr(digit, 18));
        }
    }
    return std::nullopt;
}

/// Room in one control group; reclaimable file pages count as room.
std::int64_t room_in(const ControlGroup& group) {
    const bool v2 = group.version == ControlGroupVersion::v2;
    const auto limit = number_in(group.folder / (v2 ? "memory.max" : "memory.limit_in_bytes"), "");
    if (!limit) {
        return unlimited;
    }
    const std::int64_t used =
        number_in(group.folder / (v2 ? "memory.current" : "memory.usage_in_bytes"), "").value_or(0);
    const std::int64_t reclaimable =
        number_in(group.folder / "memory.stat", "inactive_file ").value_or(0);
    return std::max<std::int64_t>(*limit - std::max<std::int64_t>(used - reclaimable, 0), 0);
}

double mib(Bytes bytes) {
    return bytes.as_double() / (1 << 20);
}

}  // namespace

Bytes available_memory(const std::filesystem::path& root) {
    constexpr std::int64_t kib = 1024;
    const auto host = number_in(root / "proc/meminfo", "MemAvailable:");
    std::int64_t room = host ? *host * kib : unlimited;
    for (const ControlGroup& group : control_groups("memory", root)) {
        room = std::min(room, room_in(group));
    }
    return Bytes{room};
}

void refuse_memory(const std::vector<MemoryItem>& items, Bytes limit, std::string_view limit_name) {
    const Bytes needed = total(items);
    std::string table;
    for (const MemoryItem& item : items) {
        table += fmt::format("\n  {:<16}{:>14.1f} MiB", item.name, mib(item.bytes));
    }
    throw ConfigError({fmt::format(
        "the model does not fit into memory (this rank needs {:.1f} MiB, {} {:.1f} MiB) use fewer "
        "layers, --shrink, a smaller micro-batch, --recompute full, or more tp x pp{}\n  "
        "{:<16}{:>14.1f} MiB",
        mib(needed),
        limit_name,
        mib(limit),
        table,
        "total",
        mib(needed))});
}

void require_fit(const std::vector<MemoryItem>& items, Bytes limit, std::string_view limit_name) {
    if (total(items) > limit) {
        refuse_memory(items, limit, limit_name);
    }
}

}  // namespace traindyno
