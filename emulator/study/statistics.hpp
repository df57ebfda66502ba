// SPDX-License-Identifier: Apache-2.0
// Statistics of step times: order statistics, bootstrap intervals, robust scores.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

/// Resamples behind every bootstrap interval: enough for the ends of a 95 % interval to repeat
/// within a few percent of its width (Efron and Tibshirani 1993, section 13.3, ask for 1000).
inline constexpr int bootstrap_resamples = 1000;

[[nodiscard]] double mean(std::span<const double> values);    ///< 0 for no values
[[nodiscard]] double median(std::span<const double> values);  ///< 0 for no values

/// Linear interpolation between order statistics; `share` in [0, 1]. 0 for no values.
[[nodiscard]] double percentile(std::span<const double> values, double share);

/// 95 % percentile-bootstrap interval of the median. The generator is seeded by the number of
/// values, so equal samples give equal intervals. {0, 0} for no values.
[[nodiscard]] std::array<double, 2> median_ci95(std::span<const double> values);

/// 95 % percentile-bootstrap interval of mean(numerator) / mean(denominator); both are resampled,
/// independently of each other. Neither may be empty.
[[nodiscard]] std::array<double, 2> mean_ratio_ci95(std::span<const double> numerator,
                                                    std::span<const double> denominator);

/// (x - median) / (1.4826 MAD) for each value, MAD being the median absolute deviation; where that
/// is 0, the mean absolute deviation times 1.2533 takes its place (Iglewicz and Hoaglin 1993).
/// All 0 for fewer than three values: two cannot tell which of them is the odd one.
[[nodiscard]] std::vector<double> robust_z_scores(std::span<const double> values);

/// Everything StepSeconds holds, from one time per measured step. ContractError when empty.
[[nodiscard]] StepSeconds summarize(std::vector<double> samples);

}  // namespace traindyno
