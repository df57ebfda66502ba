// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/control_groups.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <system_error>

namespace traindyno {

namespace {

/// `path` below `mount`, and every folder between them.
void add_groups(const std::filesystem::path& mount,
                std::string_view path,
                ControlGroupVersion version,
                std::vector<ControlGroup>& groups) {
    std::filesystem::path folder = mount;
    groups.push_back({.folder = folder, .version = version});
    for (const auto& part : std::filesystem::path(path).relative_path()) {
        folder /= part;
        groups.push_back({.folder = folder, .version = version});
    }
}

bool lists(std::string_view controllers, std::string_view wanted) {
    while (!controllers.empty()) {
        const std::size_t comma = std::min(controllers.find(','), controllers.size());
        if (controllers.substr(0, comma) == wanted) {
            return true;
        }
        controllers.remove_prefix(std::min(comma + 1, controllers.size()));
    }
    return false;
}

/// The next blank-separated word of `file` as a positive number; empty for "max", "-1" and no file.
std::optional<double> positive_number(std::istream& file) {
    std::string word;
    file >> word;
    std::int64_t number = 0;
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, number);
    const bool valid = error == std::errc{} && stop == end && number > 0;
    return valid ? std::optional{static_cast<double>(number)} : std::nullopt;
}

/// Quota over period, both in microseconds.
std::optional<double> quota_of(const ControlGroup& group) {
    std::optional<double> quota;
    std::optional<double> period;
    if (group.version == ControlGroupVersion::v2) {
        std::ifstream both(group.folder / "cpu.max");
        quota = positive_number(both);
        period = positive_number(both);
    } else {
        std::ifstream quota_file(group.folder / "cpu.cfs_quota_us");
        std::ifstream period_file(group.folder / "cpu.cfs_period_us");
        quota = positive_number(quota_file);
        period = positive_number(period_file);
    }
    return quota && period ? std::optional{*quota / *period} : std::nullopt;
}

}  // namespace

std::vector<ControlGroup> control_groups(std::string_view controller,
                                         const std::filesystem::path& root) {
    const std::filesystem::path mount = root / "sys/fs/cgroup";
    std::vector<ControlGroup> groups;
    std::ifstream memberships(root / "proc/self/cgroup");
    for (std::string line; std::getline(memberships, line);) {  // "0::/path" or "4:cpu,cpuacct:/x"
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string_view text(line);
        const std::string_view controllers = text.substr(first + 1, second - first - 1);
        const std::string_view path = text.substr(second + 1);
        if (controllers.empty()) {
            add_groups(mount, path, ControlGroupVersion::v2, groups);
        } else if (lists(controllers, controller)) {
            add_groups(mount / controller, path, ControlGroupVersion::v1, groups);
        }
    }
    return groups;
}

std::optional<double> cpu_quota(const std::filesystem::path& root) {
    std::optional<double> tightest;
    for (const ControlGroup& group : control_groups("cpu", root)) {
        if (const std::optional<double> quota = quota_of(group)) {
            tightest = std::min(*quota, tightest.value_or(*quota));
        }
    }
    return tightest;
}

}  // namespace traindyno
