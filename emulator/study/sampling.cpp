// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "emulator/base/error.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

WarmUp::WarmUp(WarmUpLimits limits) : limits_(limits) {
    TD_EXPECT(limits.window >= 1 && limits.tolerance >= 0);
    TD_EXPECT(limits.at_least >= 0 && limits.at_most >= limits.at_least);
}

void WarmUp::add(double step_seconds) {
    steps_.push_back(step_seconds);
    elapsed_ += step_seconds;
}

WarmUp::State WarmUp::state() const {
    if (steps() < limits_.at_least) {
        return State::warming;
    }
    if (windows_agree()) {
        return State::steady;
    }
    const bool at_limit = steps() >= limits_.at_most || elapsed_ >= limits_.max_seconds;
    return at_limit ? State::gave_up : State::warming;
}

bool WarmUp::windows_agree() const {
    const auto window = static_cast<std::size_t>(limits_.window);
    if (steps_.size() < 2 * window) {
        return false;
    }
    const auto recent = std::span<const double>(steps_).last(2 * window);
    const double before = median(recent.first(window));
    const double after = median(recent.last(window));
    return std::abs(after - before) <= limits_.tolerance * before;
}

StoppingRule::StoppingRule(StoppingLimits limits)
    : limits_(limits),
      next_check_(static_cast<std::size_t>(std::max<std::int64_t>(limits.min_steps, 1))) {
    TD_EXPECT(limits.ci > 0 && limits.max_seconds > 0);
    TD_EXPECT(!limits.fixed_steps || *limits.fixed_steps >= 1);
}

void StoppingRule::add(double step_seconds) {
    samples_.push_back(step_seconds);
    elapsed_ += step_seconds;
    verdict_ = judge();
}

std::optional<Verdict> StoppingRule::judge() {
    if (limits_.fixed_steps) {
        const bool done = static_cast<std::int64_t>(samples_.size()) >= *limits_.fixed_steps;
        return done ? std::optional{Verdict::fixed_steps} : std::nullopt;
    }
    const bool out_of_time = elapsed_ >= limits_.max_seconds;
    const bool enough = static_cast<std::int64_t>(samples_.size()) >= limits_.min_steps;
    // Each check costs a bootstrap: look again only after 10 % more steps.
    if (enough && (out_of_time || samples_.size() >= next_check_)) {
        next_check_ = samples_.size() + 1 + samples_.size() / 10;
        if (converged()) {
            return Verdict::converged;
        }
    }
    return out_of_time ? std::optional{Verdict::not_enough_samples} : std::nullopt;
}

bool StoppingRule::converged() const {
    const double centre = median(samples_);
    const auto [low, high] = median_ci95(samples_);
    return std::max(high - centre, centre - low) <= limits_.ci * centre;
}

}  // namespace traindyno
