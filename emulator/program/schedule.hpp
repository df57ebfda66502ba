// SPDX-License-Identifier: Apache-2.0
// Pipeline schedules: in which order a stage runs the forwards and backwards of its micro-batches.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

enum class Direction : std::uint8_t { forward, backward };

/// One micro-batch going through a stage in one direction.
struct Pass {
    Direction direction = Direction::forward;
    std::int64_t micro_batch = 0;

    friend bool operator==(const Pass&, const Pass&) = default;
};

/// GPipe: all forwards, then all backwards. 1F1B (Narayanan et al., SC'21, fig. 4): as many
/// forwards as later stages exist, then one forward and one backward in turn, then the remaining
/// backwards. Both run micro-batches in order in either direction.
[[nodiscard]] std::vector<Pass> passes_of(Schedule schedule,
                                          std::int64_t micro_batches,
                                          std::int64_t stages,
                                          Stage stage);

/// Largest number of micro-batches between their forward and the end of their backward.
[[nodiscard]] std::int64_t in_flight(Schedule schedule,
                                     std::int64_t micro_batches,
                                     std::int64_t stages,
                                     Stage stage);

}  // namespace traindyno
