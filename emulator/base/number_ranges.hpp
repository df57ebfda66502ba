// SPDX-License-Identifier: Apache-2.0
// Sets of numbers as people and the Linux kernel write them: "0-3,8".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace traindyno {

/// Ascending numbers as "0-3,8"; "" for none.
[[nodiscard]] std::string ranges_text(const std::vector<std::int32_t>& ascending);

/// And back. Stops at the first thing that is not a range, such as the end of the line.
[[nodiscard]] std::vector<std::int32_t> parse_ranges(std::string_view text);

}  // namespace traindyno
