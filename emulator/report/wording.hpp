// SPDX-License-Identifier: Apache-2.0
// Figures and facts of a study as words.
#pragma once

#include <string>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

[[nodiscard]] std::string percent(double share, int decimals);  ///< "81.0 %"
[[nodiscard]] std::string grouped(double value);                ///< "12,345"
[[nodiscard]] std::string grouped(std::int64_t value);          ///< "12,345"
[[nodiscard]] std::string layout_text(const Layout& layout);    ///< "tp2 pp2 dp4", sizes above 1
[[nodiscard]] std::string interval_text(const std::array<double, 2>& shares);  ///< "79.5 to 82.1 %"

/// "ring of keys and values, zigzag parts"
[[nodiscard]] std::string context_text(const TrainingSetup& setup);

[[nodiscard]] std::string ranks_title(const Point& point);  ///< "8 ranks", unbroken

/// Half the width of the median's interval, relative to the median.
[[nodiscard]] double relative_half_width(const StepSeconds& step);

/// Budget categories that a reader takes as one.
struct LossTerm {
    std::string loss_name;  ///< "slower forward and backward compute"
    std::string name;       ///< "forward and backward compute"
    double share = 0;
};

/// `shares` (a loss, or a budget relative to its step) in terms, largest first. `late_rank` names
/// who was waited for, if somebody was.
[[nodiscard]] std::vector<LossTerm> loss_terms(const Budget& shares, const std::string& late_rank);

/// Sums of a budget for narrow tables.
struct BudgetSummary {
    double compute = 0;  ///< forward, backward, recomputation, optimizer
    double slowdown = 0;
    double exposed = 0;
    double wait = 0;
    double bubble = 0;
    double other = 0;  ///< launch gaps, residual
};

[[nodiscard]] BudgetSummary sums_of(const Budget& budget);

/// Untraced runs have no budget.
[[nodiscard]] bool has_budget(const Point& point);

/// What the figures of `study` are: "measured", "predicted", "measured, compute timed as dgx-a100".
[[nodiscard]] std::string kind_of_result(const Study& study);

}  // namespace traindyno
