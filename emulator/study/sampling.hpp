// SPDX-License-Identifier: Apache-2.0
// When to start measuring and when to stop: rules fed with step times.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

struct WarmUpLimits {
    std::int64_t window = 3;    ///< steps per compared median
    double tolerance = 0.02;    ///< two successive windows whose medians differ less are steady
    std::int64_t at_least = 2;  ///< steps, however steady
    std::int64_t at_most = 50;  ///< steps, however unsteady
    double max_seconds = 60;
};

/// Steady-state detection: warm-up ends when the median of the last `window` steps is within
/// `tolerance` of the median of the `window` steps before, or at a limit.
class WarmUp {
  public:
    enum class State : std::uint8_t {
        warming,
        steady,
        gave_up,  ///< a limit was reached first: measure, but say so
    };

    explicit WarmUp(WarmUpLimits limits);

    void add(double step_seconds);

    [[nodiscard]] State state() const;

    [[nodiscard]] std::int64_t steps() const { return static_cast<std::int64_t>(steps_.size()); }

  private:
    [[nodiscard]] bool windows_agree() const;

    WarmUpLimits limits_;
    std::vector<double> steps_;
    double elapsed_ = 0;
};

struct StoppingLimits {
    double ci = 0.01;  ///< both ends of the median's 95 % interval within this share of the median
    double max_seconds = 60;     ///< of measured steps
    std::int64_t min_steps = 6;  ///< the range of n values covers the median with 1 - 2^(1-n):
                                 ///< fewer than 6 cannot give 95 %
    std::optional<std::int64_t> fixed_steps =
        std::nullopt;  ///< measure exactly these, whatever the interval
};

/// Decides after each measured step whether another one is needed. Depends on nothing but the times
/// fed to it, so one rank can decide for all.
class StoppingRule {
  public:
    explicit StoppingRule(StoppingLimits limits);

    void add(double step_seconds);

    /// Why to stop now; empty while another step is needed.
    [[nodiscard]] std::optional<Verdict> verdict() const { return verdict_; }

    [[nodiscard]] const std::vector<double>& samples() const { return samples_; }

  private:
    [[nodiscard]] std::optional<Verdict> judge();
    [[nodiscard]] bool converged() const;

    StoppingLimits limits_;
    std::vector<double> samples_;
    double elapsed_ = 0;
    std::size_t next_check_ = 0;
    std::optional<Verdict> verdict_;
};

}  // namespace traindyno
