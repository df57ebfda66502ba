// SPDX-License-Identifier: Apache-2.0
// The control groups (v1 and v2) that limit this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace traindyno {

enum class ControlGroupVersion : std::uint8_t { v1, v2 };

/// A folder whose files limit this process: its group's, or a parent's, whose limits hold as well.
struct ControlGroup {
    std::filesystem::path folder;
    ControlGroupVersion version = ControlGroupVersion::v2;

    friend bool operator==(const ControlGroup&, const ControlGroup&) = default;
};

/// Groups of this process that `controller` ("memory", "cpu") may limit, outermost first; `root`
/// holds proc/ and sys/. Folders that this process cannot see are listed too.
[[nodiscard]] std::vector<ControlGroup> control_groups(std::string_view controller,
                                                       const std::filesystem::path& root = "/");

/// CPUs' worth of time that the tightest group allows this process and its siblings in the group;
/// empty without a limit.
[[nodiscard]] std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace traindyno
