// SPDX-License-Identifier: Apache-2.0
// Quantities as text: "25MiB", "400Gbps", "2.0TB/s", "312TFLOP/s", "1.2us". Bare numbers are
// refused.
#pragma once

#include <string>
#include <string_view>

#include "emulator/base/units.hpp"

namespace traindyno {

// Each throws ConfigError("'12' has no unit (bytes are ambiguous) write 12MiB or 12MB").
[[nodiscard]] Bytes parse_bytes(std::string_view text);  ///< B KB MB GB TB (decimal), KiB MiB GiB
[[nodiscard]] Bandwidth parse_bandwidth(
    std::string_view text);  ///< B/s..TB/s (bytes), bps..Tbps (bits)
[[nodiscard]] FlopRate parse_flop_rate(std::string_view text);  ///< GFLOP/s TFLOP/s PFLOP/s
[[nodiscard]] SimTime parse_time(std::string_view text);        ///< ns us ms s min h

[[nodiscard]] std::string format_bytes(Bytes bytes);       ///< "25.0 MiB"
[[nodiscard]] std::string format_seconds(double seconds);  ///< "1.23 ms", "4 min 10 s"
[[nodiscard]] std::string format_count(double count);      ///< "174.6 B", "1.3 M", "3.15e23"

}  // namespace traindyno
