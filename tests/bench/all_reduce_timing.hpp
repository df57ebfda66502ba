// SPDX-License-Identifier: Apache-2.0
// What the all-reduce benchmarks share: start together, stop the slowest rank, take medians.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "collectives/control.hpp"

namespace traindyno::bench {

/// Runs `action` on all ranks at once; seconds on this rank.
template <class Action>
[[nodiscard]] double seconds_of(Communicator& world, Action&& action) {
    barrier(world, Urgency::immediate);
    const auto start = std::chrono::steady_clock::now();
    action();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Sample by sample the slowest rank's time.
[[nodiscard]] inline std::vector<double> slowest(Communicator& world, std::vector<double> samples) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{samples});
    Pending pending =
        world.all_reduce(bytes, bytes, DType::fp64, Reduction::max, Urgency::immediate);
    while (!pending.done()) {
    }
    return samples;
}

[[nodiscard]] inline double median(std::vector<double> samples) {
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    return *middle;
}

/// Round by round, then the median: other load on the machine hits both sides of a round alike.
[[nodiscard]] inline double median_ratio(const std::vector<double>& above,
                                         const std::vector<double>& below) {
    std::vector<double> ratios(above.size());
    std::transform(above.begin(), above.end(), below.begin(), ratios.begin(), std::divides<>{});
    return median(ratios);
}

}  // namespace traindyno::bench
