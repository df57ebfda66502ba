// SPDX-License-Identifier: Apache-2.0
// What the user of `traindyno collectives` asked for, typed and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/cli/flags.hpp"
#include "emulator/collective_bench/bench_case.hpp"

namespace traindyno {

struct CollectivesRequest {
    std::vector<std::string> carriers;
    BenchCase what;
    std::vector<OpShape> shapes;  ///< ascending, at least one
    std::int64_t iterations = 20;
    std::int64_t warm_up = 5;
    std::int64_t checks = 1;
    std::string json;  ///< file, or ""
    std::string csv;   ///< file, or ""
};

/// Throws ConfigError with everything that is wrong.
[[nodiscard]] CollectivesRequest collectives_request(const Flags& flags,
                                                     std::int64_t ranks,
                                                     Problems& problems);

/// "8", "4K", "32M", "2G" as nccl-tests read them (factors of 1024), or with a unit: "1MiB".
/// Nothing when `text` is anything else or not positive.
[[nodiscard]] std::optional<Bytes> parse_size(std::string_view text);

}  // namespace traindyno
