// SPDX-License-Identifier: Apache-2.0
// Pipeline schedules: in which order a stage runs the passes of its micro-batches.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

enum class Direction : std::uint8_t {
    forward,
    backward,  ///< zero bubble: gradients of inputs only
    weights,   ///< zero bubble: gradients of weights
};

template <>
struct EnumNames<Direction> {
    static constexpr auto names = enum_table<Direction>("forward", "backward", "weights");
};

/// What a schedule depends on.
struct Pipeline {
    Schedule schedule = Schedule::one_f_one_b;
    std::int64_t micro_batches = 1;  ///< m
    std::int64_t stages = 1;         ///< p
    std::int64_t chunks = 1;         ///< v, model chunks per stage

    /// Whether the chunk feeds one of another stage.
    [[nodiscard]] bool has_next(Stage stage, std::int64_t chunk) const {
        return stage.value() < stages - 1 || chunk < chunks - 1;
    }
};

/// Whether a chunk of another stage feeds this one.
[[nodiscard]] constexpr bool has_previous(Stage stage, std::int64_t chunk) {
    return stage.value() > 0 || chunk > 0;
}

/// One micro-batch in one of the stage's model chunks.
struct Visit {
    std::int64_t chunk = 0;
    std::int64_t micro_batch = 0;

    friend bool operator==(const Visit&, const Visit&) = default;
};

struct Pass {
    Direction direction = Direction::forward;
    Visit visit;

    friend bool operator==(const Pass&, const Pass&) = default;
};

/// GPipe: all forwards, then all backwards. 1F1B (Narayanan et al., SC'21, fig. 4): as many
/// forwards as later stages exist, then one forward and one backward in turn, then the remaining
/// backwards. Interleaved (the same, section 2.2; Megatron-LM's order): groups of p micro-batches
/// go through one chunk after another; stage s warms up with 2 (p-1-s) + (v-1) p forwards; needs p
/// to divide m; with one chunk it is 1F1B. Zero bubble (ZB-H1; Qi et al., ICLR 2024, fig. 3): 1F1B
/// whose stage s runs weight gradients s micro-batches after input gradients.
[[nodiscard]] std::vector<Pass> passes_of(const Pipeline& pipeline, Stage stage);

/// Forwards before the first one that a backward follows, if there are as many.
[[nodiscard]] std::int64_t warm_up(const Pipeline& pipeline, Stage stage);

/// Largest number of visits between their forward and their last pass.
[[nodiscard]] std::int64_t in_flight(const Pipeline& pipeline, Stage stage);

/// Largest number of visits between their forward and the end of their backward.
[[nodiscard]] std::int64_t awaiting_backward(const Pipeline& pipeline, Stage stage);

/// Time of one micro-batch in a stage, all its chunks together.
struct PassTimes {
    double forward = 0;
    double backward = 0;  ///< without `weights`
    double weights = 0;   ///< gradients of weights
};

/// Time each stage idles in a step when stages are equal and messages take none. GPipe, 1F1B:
/// (p-1)(F+B+W); interleaved: 1/v of it (SC'21, section 2.2). ZB-H1: (p-1)(F+B-W) (ICLR 2024,
/// table 2), of which a W longer than F saves F only, and m < p micro-batches have m-1 to defer.
[[nodiscard]] double bubble(const Pipeline& pipeline, const PassTimes& times);

/// The formula as its paper writes it, and where: "(p-1)(F+B) (...)".
[[nodiscard]] std::string_view bubble_formula(Schedule schedule);

}  // namespace traindyno
