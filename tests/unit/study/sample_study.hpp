// SPDX-License-Identifier: Apache-2.0
// Synthetic studies whose figures are known in closed form.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno::test {

/// What a synthetic point spends per step beyond compute, as shares of the compute time.
struct Overheads {
    double exposed_dp = 0;
    double wait_dp = 0;
    double exposed_tp = 0;
    double bubble = 0;
    double compute_slowdown = 0;
};

/// `count` step times around `mean_seconds`, whose mean is `mean_seconds` up to rounding; spread is
/// the largest relative deviation. Deterministic.
[[nodiscard]] std::vector<double> step_times(double mean_seconds,
                                             std::int64_t count,
                                             double spread);

/// A point of `layout`, not completed. Compute takes `compute_seconds`: 1/3 forward, 0.6 backward,
/// the rest the optimizer; the budget closes.
[[nodiscard]] Point sample_point(const Layout& layout,
                                 std::int64_t global_batch,
                                 double compute_seconds,
                                 const Overheads& overheads);

/// A weak-scaling GPT-3 125M study on one to eight ranks of two hosts; rank 5 is slow on 8 ranks.
/// Completed.
[[nodiscard]] Study weak_study();

/// Strong scaling with tensor and pipeline parallelism on emulated A100s, on 4 to 64 ranks.
/// Completed.
[[nodiscard]] Study strong_study();

/// weak_study() on GPUs of 500 W for 48 steps; rank 3 is held at 1400 MHz by its temperature.
/// Completed.
[[nodiscard]] Study gpu_study();

}  // namespace traindyno::test
