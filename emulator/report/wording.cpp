// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/wording.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emulator/report/palette.hpp"

namespace traindyno {

std::string percent(double share, int decimals) {
    const std::string text = fmt::format("{:.{}f}", 100 * share, decimals);
    // "-0.0" is noise.
    const bool is_zero = text.find_first_of("123456789") == std::string::npos;
    return (is_zero && text.front() == '-' ? text.substr(1) : text) + " %";
}

std::string grouped(std::int64_t value) {
    const std::string digits = std::to_string(value);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const bool after_a_digit = i > 0 && digits[i - 1] != '-';
        if (after_a_digit && (digits.size() - i) % 3 == 0) {
            text += ',';
        }
        text += digits[i];
    }
    return text;
}

std::string grouped(double value) {
    if (std::abs(value) >= 1e15) {
        return fmt::format("{:.3e}", value);
    }
    if (std::abs(value) < 100) {
        return fmt::format("{:.3g}", value);
    }
    return grouped(static_cast<std::int64_t>(std::llround(value)));
}

std::string context_text(const TrainingSetup& setup) {
    return fmt::format("{} of keys and values, {} parts",
                       to_string(setup.context_exchange),
                       to_string(setup.context_balance));
}

std::string layout_text(const Layout& layout) {
    std::string text;
    const auto add = [&](std::string_view name, std::int64_t size) {
        if (size > 1) {
            text += fmt::format("{}{}{}", text.empty() ? "" : " ", name, size);
        }
    };
    add("tp", layout.tp);
    add("cp", layout.cp);
    add("ep", layout.ep);
    add("pp", layout.pp);
    add("dp", layout.dp);
    return text.empty() ? "single" : text;
}

std::string ranks_title(const Point& point) {
    return fmt::format("{}\u00a0rank{}", grouped(point.ranks), point.ranks == 1 ? "" : "s");
}

std::string interval_text(const std::array<double, 2>& shares) {
    return fmt::format("{:.1f} to {:.1f} %", 100 * shares[0], 100 * shares[1]);
}

double relative_half_width(const StepSeconds& step) {
    return step.median > 0 ? (step.ci95[1] - step.ci95[0]) / 2 / step.median : 0;
}

std::vector<LossTerm> loss_terms(const Budget& shares, const std::string& late_rank) {
    std::vector<LossTerm> terms;
    const auto add = [&](const std::string& loss_name, const std::string& name, double share) {
        terms.push_back({.loss_name = loss_name, .name = name, .share = share});
    };
    add("slower forward and backward compute",
        "forward and backward compute",
        shares[Category::compute_forward] + shares[Category::compute_backward] +
            shares[Category::compute_recompute]);
    add("a longer optimizer step", "the optimizer step", shares[Category::compute_optimizer]);
    add("compute slowed by communication",
        "compute slowed by communication",
        shares[Category::compute_slowdown]);
    double waiting = 0;
    for (std::size_t i = 0; i < enum_count<GroupKind>; ++i) {
        const auto kind = static_cast<GroupKind>(i);
        const std::string name = fmt::format("exposed {}", traffic_name(kind));
        add(name, name, shares[exposed(kind)]);
        waiting += shares[wait(kind)];
    }
    const std::string whom = "waiting for " + (late_rank.empty() ? "late peers" : late_rank);
    add(whom, whom, waiting);
    add("the pipeline bubble", "the pipeline bubble", shares[Category::bubble]);
    add("launch gaps", "launch gaps", shares[Category::launch_gap]);
    add("time not accounted for", "time not accounted for", shares[Category::residual]);
    std::stable_sort(terms.begin(), terms.end(), [](const LossTerm& a, const LossTerm& b) {
        return a.share > b.share;
    });
    return terms;
}

BudgetSummary sums_of(const Budget& budget) {
    BudgetSummary sums;
    sums.compute = budget[Category::compute_forward] + budget[Category::compute_backward] +
                   budget[Category::compute_recompute] + budget[Category::compute_optimizer];
    sums.slowdown = budget[Category::compute_slowdown];
    for (std::size_t i = 0; i < enum_count<GroupKind>; ++i) {
        sums.exposed += budget[exposed(static_cast<GroupKind>(i))];
        sums.wait += budget[wait(static_cast<GroupKind>(i))];
    }
    sums.bubble = budget[Category::bubble];
    sums.other = budget[Category::launch_gap] + budget[Category::residual];
    return sums;
}

bool has_budget(const Point& point) {
    return point.budget != Budget{};
}

std::string kind_of_result(const Study& study) {
    if (study.provenance == Provenance::predicted) {
        return "predicted for " + study.machine;
    }
    return study.machine.empty() ? "measured" : "measured, compute timed as " + study.machine;
}

}  // namespace traindyno
