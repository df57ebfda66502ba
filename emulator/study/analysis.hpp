// SPDX-License-Identifier: Apache-2.0
// What follows from measured points: efficiency, losses, stragglers, time to train.
#pragma once

#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

/// GPT-3 was trained on 300 billion tokens (Brown et al. 2020, arXiv:2005.14165, table 2.1).
inline constexpr double gpt3_tokens = 300e9;

/// Derives everything that points and their samples imply, replacing what was there: order of the
/// points, step statistics, tokens_per_second, tflops_per_rank, efficiency and its interval, loss,
/// time_to_train, z-scores and stragglers. Applying it twice changes nothing.
///
/// N0 is the smallest point, b_c its and b'_c another point's budget in category c, t and t' the
/// mean steps. Per rank and token, N0's rate is the ideal, so the other point's ideal step is
///     i = t (tokens' / N') / (tokens / N),   E = i / t',   1 - E = (t' - i) / t'.
/// With budgets that add up to t and t', the losses
///     loss_c = (b'_c - b_c i / t) / t'
/// add up to 1 - E. Should a budget not close (a file from elsewhere), `residual` takes what is
/// missing. Efficiency uses mean steps, because only means add up; medians are for display. Its
/// interval is the bootstrap of the same ratio of means.
void complete(Study& study);

/// What keeps the jobs behind `a` and `b` from being one curve: "scaling: weak and strong". Empty
/// when they fit.
[[nodiscard]] std::vector<std::string> differences(const Study& a, const Study& b);

/// One study from those of several jobs, completed. Of points with equal rank count the newer
/// study's stays, and flags_raised says so, as it does for environments that differ. ConfigError
/// lists all differences() when the jobs do not belong together.
[[nodiscard]] Study merge(std::vector<Study> studies);

/// The curves that the studies of several jobs form: those that fit together are merged. In order
/// of each curve's first job.
[[nodiscard]] std::vector<Study> curves_of(std::vector<Study> studies);

}  // namespace traindyno
