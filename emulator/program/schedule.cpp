// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/schedule.hpp"

#include <algorithm>

namespace traindyno {

std::int64_t in_flight(Schedule schedule,
                       std::int64_t micro_batches,
                       std::int64_t stages,
                       Stage stage) {
    return schedule == Schedule::gpipe ? micro_batches
                                       : std::min(micro_batches, stages - stage.value());
}

std::vector<Pass> passes_of(Schedule schedule,
                            std::int64_t micro_batches,
                            std::int64_t stages,
                            Stage stage) {
    const std::int64_t ahead = in_flight(schedule, micro_batches, stages, stage);
    std::vector<Pass> passes;
    passes.reserve(static_cast<std::size_t>(2 * micro_batches));
    for (std::int64_t forward = 0; forward < micro_batches; ++forward) {
        passes.push_back({.direction = Direction::forward, .micro_batch = forward});
        if (forward + 1 >= ahead) {
            passes.push_back(
                {.direction = Direction::backward, .micro_batch = forward + 1 - ahead});
        }
    }
    for (std::int64_t backward = micro_batches + 1 - ahead; backward < micro_batches; ++backward) {
        passes.push_back({.direction = Direction::backward, .micro_batch = backward});
    }
    return passes;
}

}  // namespace traindyno
