// SPDX-License-Identifier: Apache-2.0
// The table of flags: name, value, which commands take it, help.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace traindyno {

enum class FlagKind : std::uint8_t { value, toggle };

/// Which commands take a flag: bits.
namespace takes {
inline constexpr unsigned scale = 1;
inline constexpr unsigned run = 2;
inline constexpr unsigned describe = 4;
inline constexpr unsigned report = 8;
inline constexpr unsigned collectives = 16;
inline constexpr unsigned show = 32;
inline constexpr unsigned measuring = scale | run;
inline constexpr unsigned workload = scale | run | describe | show;
}  // namespace takes

struct FlagSpec {
    std::string_view name;
    FlagKind kind = FlagKind::value;
    unsigned commands = 0;
    std::string_view group;
    std::string_view placeholder;
    std::string_view help;
    std::string_view also{};  ///< other spellings, e.g. "-d,--dtype"
};

// The parts of the table.
[[nodiscard]] std::span<const FlagSpec> workload_flags();
[[nodiscard]] std::span<const FlagSpec> measuring_flags();
[[nodiscard]] std::span<const FlagSpec> collectives_flags();

/// All of them.
[[nodiscard]] const std::vector<FlagSpec>& flag_table();

}  // namespace traindyno
