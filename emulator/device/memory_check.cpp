// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/memory_check.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include <fmt/format.h>

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

/// Room in one control group folder; reclaimable file pages count as room.
std::int64_t room_in(const std::filesystem::path& folder,
                     const char* limit_file,
                     const char* usage_file) {
    const auto limit = number_in(folder / limit_file, "");
    if (!limit) {
        return unlimited;
    }
    const std::int64_t used = number_in(folder / usage_file, "").value_or(0);
    const std::int64_t reclaimable =
        number_in(folder / "memory.stat", "inactive_file ").value_or(0);
    return std::max<std::int64_t>(*limit - std::max<std::int64_t>(used - reclaimable, 0), 0);
}

/// The least room in the group at `path` below `mount` and in its parents.
std::int64_t room_up(const std::filesystem::path& mount,
                     std::string_view path,
                     const char* limit_file,
                     const char* usage_file) {
    std::int64_t room = room_in(mount, limit_file, usage_file);
    std::filesystem::path folder = mount;
    for (const auto& part : std::filesystem::path(path).relative_path()) {
        folder /= part;
        room = std::min(room, room_in(folder, limit_file, usage_file));
    }
    return room;
}

std::int64_t room_in_control_groups(const std::filesystem::path& root) {
    const std::filesystem::path mount = root / "sys/fs/cgroup";
    std::int64_t room = unlimited;
    std::ifstream groups(root / "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {  // "0::/path" or "4:memory:/path"
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        if (controllers.empty()) {
            room = std::min(room, room_up(mount, path, "memory.max", "memory.current"));
        } else if (controllers.find("memory") != std::string::npos) {
            room = std::min(
                room,
                room_up(mount / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes"));
        }
    }
    return room;
}

double mib(Bytes bytes) {
    return bytes.as_double() / (1 << 20);
}

}  // namespace

Bytes available_memory(const std::filesystem::path& root) {
    constexpr std::int64_t kib = 1024;
    const auto host = number_in(root / "proc/meminfo", "MemAvailable:");
    return Bytes{std::min(host ? *host * kib : unlimited, room_in_control_groups(root))};
}

void require_fit(const std::vector<MemoryItem>& items, Bytes limit, std::string_view limit_name) {
    Bytes needed;
    std::string table;
    for (const MemoryItem& item : items) {
        needed += item.bytes;
        table += fmt::format("\n  {:<16}{:>14.1f} MiB", item.name, mib(item.bytes));
    }
    if (needed <= limit) {
        return;
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

}  // namespace traindyno
