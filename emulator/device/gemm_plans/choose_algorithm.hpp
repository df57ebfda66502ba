// SPDX-License-Identifier: Apache-2.0
// Picks the fastest of some algorithms by timing them, within a budget of time.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace traindyno {

/// Microseconds of each of `launches` launches of one algorithm; empty when it does not run.
using TimeLaunches = std::function<std::vector<double>(std::size_t algorithm, int launches)>;

struct Choice {
    std::size_t algorithm = 0;
    double microseconds = 0;  ///< median over its launches in the final

    friend bool operator==(const Choice&, const Choice&) = default;
};

/// Every algorithm is launched a few times; the best few then run in turns, so that a changing
/// clock meets all alike, 20 times each where `budget_us` allows and never fewer than 8. Among
/// those that differ by less than timing resolves, the first wins: the library ranks it higher.
/// Nothing when none of them runs.
[[nodiscard]] std::optional<Choice> choose_algorithm(std::size_t algorithms,
                                                     double budget_us,
                                                     const TimeLaunches& time);

[[nodiscard]] double median(std::vector<double> values);  ///< upper one of an even number

}  // namespace traindyno
