// SPDX-License-Identifier: Apache-2.0
// What collectives in shared memory must reach, and whether they do.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/shm_comparison.hpp"

namespace traindyno::bench {

enum class Bound : std::uint8_t { at_least, at_most, below };

struct Target {
    std::string what;
    Bound bound = Bound::at_least;
    double value = 0;
    double figure = 0;  ///< medians over rounds of ratios within a round, but for spreads

    [[nodiscard]] bool met() const;
};

/// Of one line, as measured; none where nothing is asked.
[[nodiscard]] std::vector<Target> targets_of(const Line& line, const Samples& samples);

/// "heap >= 4.00 x MPI: 7.31 met".
[[nodiscard]] std::string to_text(const Target& target);

/// Slowest round / fastest.
[[nodiscard]] double spread(const std::vector<double>& samples);

}  // namespace traindyno::bench
