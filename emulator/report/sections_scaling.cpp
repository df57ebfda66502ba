// SPDX-License-Identifier: Apache-2.0
// Sections about the curve: scaling, budget, loss, definitions, time to train.
#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/palette.hpp"
#include "emulator/report/sections.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

/// Smallest value that a table with two decimals of percent can show.
constexpr double shown_share = 5e-5;

std::vector<Column> columns_per_point(const std::vector<Point>& points, const std::string& first) {
    std::vector<Column> columns{{first, Align::left}};
    for (const Point& point : points) {
        columns.push_back({ranks_title(point)});
    }
    return columns;
}

Cell category_cell(Category category) {
    const CategoryLook look = look_of(category);
    return {.text = std::string(look.label), .colour = std::string(look.colour)};
}

std::string optional_percent(const std::optional<double>& share) {
    return share ? percent(*share, 1) : "–";
}

std::string verdict_text(Verdict verdict) {
    switch (verdict) {
        case Verdict::converged:
            return "converged";
        case Verdict::not_enough_samples:
            return "not enough samples";
        case Verdict::fixed_steps:
            return "fixed steps";
    }
    return "";
}

std::vector<Cell> scaling_row(const Point& point, bool is_base) {
    return {{grouped(point.ranks)},
            {grouped(point.nodes)},
            {layout_text(point.layout)},
            {.text = percent(point.efficiency, 1),
             .bar = std::clamp(point.efficiency, 0.0, 1.0),
             .bar_colour = std::string(measured_colour)},
            {is_base ? "–" : interval_text(point.efficiency_ci95)},
            {grouped(point.tokens_per_second)},
            {format_seconds(point.step_seconds.mean)},
            {fmt::format("{} ±{}",
                         format_seconds(point.step_seconds.median),
                         percent(relative_half_width(point.step_seconds), 2))},
            {fmt::format("{:.3g}", point.tflops_per_rank)},
            {.text = verdict_text(point.verdict),
             .alarm = point.verdict == Verdict::not_enough_samples}};
}

Table scaling_table(const Study& study) {
    Table table{.caption = "Points",
                .columns = {{"Ranks"},
                            {"Nodes"},
                            {"Layout", Align::left},
                            {"Efficiency"},
                            {"95 % interval"},
                            {"Tokens/s"},
                            {"Mean step"},
                            {"Median step"},
                            {"TFLOP/s per\u00a0rank"},
                            {"Sampling", Align::left}},
                .rows = {}};
    for (const Point& point : study.points) {
        table.rows.push_back(scaling_row(point, &point == &study.points.front()));
    }
    const bool utilised = std::any_of(
        study.points.begin(), study.points.end(), [](const Point& p) { return p.mfu.has_value(); });
    if (utilised) {
        table.columns.insert(table.columns.end() - 1, {{"MFU"}, {"HFU"}, {"MFU, causal"}});
        for (std::size_t p = 0; p < study.points.size(); ++p) {
            const Point& point = study.points[p];
            table.rows[p].insert(table.rows[p].end() - 1,
                                 {{optional_percent(point.mfu)},
                                  {optional_percent(point.hfu)},
                                  {optional_percent(point.mfu_causal)}});
        }
    }
    return table;
}

Table budget_table(const Study& study) {
    Table table{.caption = "Seconds per step, mean over ranks and steps",
                .columns = columns_per_point(study.points, "Category"),
                .rows = {},
                .last_row = LastRow::sum};
    for (const Category category : categories_in(study.points, &Point::budget, 1e-9)) {
        std::vector<Cell> row{category_cell(category)};
        for (const Point& point : study.points) {
            const double seconds = point.budget[category];
            row.push_back({.text = fmt::format("{:.4f}", seconds),
                           .bar = std::clamp(seconds / point.step_seconds.mean, 0.0, 1.0),
                           .bar_colour = std::string(look_of(category).colour)});
        }
        table.rows.push_back(std::move(row));
    }
    std::vector<Cell> sum{{"Mean step"}};
    for (const Point& point : study.points) {
        sum.push_back({fmt::format("{:.4f}", point.budget.total())});
    }
    table.rows.push_back(std::move(sum));
    return table;
}

/// The largest point's ranks differ: the one that computes longest, and the spread.
Table spread_table(const Point& point) {
    Table table{.caption = fmt::format("Seconds per step across the ranks of the {}-rank point",
                                       grouped(point.ranks)),
                .columns = {{"Category", Align::left},
                            {"Mean of\u00a0ranks"},
                            {"Rank with\u00a0most\u00a0compute"},
                            {"Largest\u00a0−\u00a0smallest"}},
                .rows = {}};
    for (const Category category : categories_in({point}, &Point::budget, 1e-9)) {
        table.rows.push_back({category_cell(category),
                              {fmt::format("{:.4f}", point.budget[category])},
                              {fmt::format("{:.4f}", point.slowest_rank_budget[category])},
                              {fmt::format("{:.4f}", point.budget_spread[category])}});
    }
    return table;
}

Table loss_table(const Study& study) {
    const std::vector<Point> points(study.points.begin() + 1, study.points.end());
    Table table{.caption = "Loss against the smallest point, percent of linear",
                .columns = columns_per_point(points, "Cause"),
                .rows = {},
                .last_row = LastRow::sum};
    double largest = shown_share;
    for (const Point& point : points) {
        for (const double share : point.loss.seconds) {
            largest = std::max(largest, share);
        }
    }
    for (const Category category : categories_in(points, &Point::loss, shown_share)) {
        std::vector<Cell> row{category_cell(category)};
        for (const Point& point : points) {
            const double share = point.loss[category];
            row.push_back({.text = percent(share, 2),
                           .bar = std::clamp(share / largest, 0.0, 1.0),
                           .bar_colour = std::string(look_of(category).colour)});
        }
        table.rows.push_back(std::move(row));
    }
    std::vector<Cell> sum{{"Sum = 1 − E"}};
    for (const Point& point : points) {
        sum.push_back({percent(1 - point.efficiency, 2)});
    }
    table.rows.push_back(std::move(sum));
    return table;
}

}  // namespace

Section scaling_section(const Study& study) {
    Section section{.id = "scaling", .title = "Scaling", .contents = {}};
    if (study.points.size() > 1) {
        section.contents.emplace_back(Figures{{"throughput", "efficiency"}});
    }
    section.contents.emplace_back(scaling_table(study));
    section.contents.emplace_back(Paragraph{fmt::format(
        "Efficiency is E(N) = [T(N)/N] / [T(N0)/N0] with T in tokens per second at the mean step "
        "and "
        "N0 = {}. {} Means are used because only means add up; the median and its interval show "
        "how "
        "steady the steps were. Intervals are 95 % percentile bootstraps, that of the efficiency "
        "over "
        "the ratio of mean steps. MFU counts model FLOPs with the whole attention square, HFU adds "
        "recomputation, the causal MFU counts half the square.",
        grouped(study.points.front().ranks),
        study.scaling == Scaling::weak ? "Weak scaling: the batch per replica is fixed."
                                       : "Strong scaling: the global batch is fixed.")});
    return section;
}

Section budget_section(const Study& study) {
    Section section{.id = "budget", .title = "Where a step goes", .contents = {}};
    if (std::none_of(study.points.begin(), study.points.end(), has_budget)) {
        section.contents.emplace_back(
            Paragraph{"The steps were not traced, so their time is not divided into categories."});
        return section;
    }
    std::vector<std::string> charts{"budget"};
    if (study.points.size() > 1) {
        charts.emplace_back("loss");
    }
    section.contents.emplace_back(Figures{std::move(charts)});
    section.contents.emplace_back(budget_table(study));
    if (study.points.back().ranks > 1) {
        section.contents.emplace_back(spread_table(study.points.back()));
    }
    return section;
}

Section loss_section(const Study& study) {
    Section section{.id = "loss", .title = "What was lost", .contents = {}};
    if (study.points.size() < 2) {
        section.contents.emplace_back(
            Paragraph{"One point has nothing to lose against: measure a second rank count."});
        return section;
    }
    section.contents.emplace_back(loss_table(study));
    section.contents.emplace_back(
        Paragraph{"Each cause's loss is its share of the step beyond what linear scaling of the "
                  "smallest point "
                  "allows: (b(N) − b(N0) · i / t(N0)) / t(N), where b is the seconds in the "
                  "category, t the mean "
                  "step and i the step of linear scaling. Negative values are gains. The column "
                  "adds up to 1 − E."});
    return section;
}

Section definitions_section(const Study& study) {
    Table table{.caption = "Seconds per step",
                .columns = {{"Ranks"},
                            {"Exposed, traced"},
                            {"+\u00a0wait for\u00a0peers"},
                            {"+\u00a0slowdown and\u00a0bubble"},
                            {"By\u00a0removal"},
                            {"Difference"}},
                .rows = {}};
    for (const Point& point : study.points) {
        const BudgetSummary sums = sums_of(point.budget);
        const double waited = sums.exposed + sums.wait;
        const double all = waited + sums.slowdown + sums.bubble;
        const double gap = (point.exposed_by_removal - all) / point.step_seconds.mean;
        table.rows.push_back({{grouped(point.ranks)},
                              {fmt::format("{:.4f}", sums.exposed)},
                              {fmt::format("{:.4f}", waited)},
                              {fmt::format("{:.4f}", all)},
                              {fmt::format("{:.4f}", point.exposed_by_removal)},
                              {percent(gap, 1) + " of the step"}});
    }
    return {
        .id = "exposed",
        .title = "Exposed communication, twice",
        .contents = {
            std::move(table),
            Paragraph{"Traced: time a rank's compute stands still while a communication it needs "
                      "moves data. By removal: the mean step minus the same step with every "
                      "communication completed at once; that also removes waiting for peers, the "
                      "slowdown of compute beside traffic and the pipeline's bubble, so it "
                      "compares with the fourth column. Neither is derived from the other: a "
                      "large difference means that one of them does not see what happens."}}};
}

Section training_section(const Study& study) {
    Table table{.caption = "GPT-3's 300 billion tokens at each point's rate",
                .columns = {{"Ranks"},
                            {"At\u00a0this\u00a0rate"},
                            {"At\u00a0linear scaling"},
                            {"Longer\u00a0by"},
                            {"Rank-years"}},
                .rows = {}};
    constexpr double year_seconds = 365.0 * 86400;
    for (const Point& point : study.points) {
        const TimeToTrain& time = point.time_to_train;
        table.rows.push_back(
            {{grouped(point.ranks)},
             {format_seconds(time.seconds)},
             {format_seconds(time.ideal_seconds)},
             {percent(time.seconds / time.ideal_seconds - 1, 1)},
             {grouped(time.seconds / year_seconds * static_cast<double>(point.ranks))}});
    }
    Section section{.id = "training", .title = "Time to train", .contents = {}};
    if (study.points.size() > 1) {
        section.contents.emplace_back(Figures{{"time_to_train"}});
    }
    section.contents.emplace_back(std::move(table));
    return section;
}

}  // namespace traindyno
