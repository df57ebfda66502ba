// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/document.hpp"
#include "emulator/report/report.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

/// Characters of UTF-8 text: bytes that do not continue one.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

std::string padded(const std::string& text, std::size_t width, Align align) {
    const std::string space(width - std::min(width, width_of(text)), ' ');
    return align == Align::left ? text + space : space + text;
}

std::vector<std::size_t> widths_of(const Table& table) {
    std::vector<std::size_t> widths;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
        std::size_t width = width_of(table.columns[c].title);
        for (const auto& row : table.rows) {
            width = std::max(width, width_of(row[c].text));
        }
        widths.push_back(width);
    }
    return widths;
}

std::string trimmed(std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
}

std::string share_of_step(const Point& point, double seconds) {
    return has_budget(point) ? percent(seconds / point.step_seconds.mean, 1) : "-";
}

std::vector<Cell> overview_row(const Point& point) {
    const BudgetSummary sums = sums_of(point.budget);
    return {{grouped(point.ranks)},
            {layout_text(point.layout)},
            {format_seconds(point.step_seconds.median)},
            {"±" + percent(relative_half_width(point.step_seconds), 1)},
            {grouped(point.tokens_per_second)},
            {percent(point.efficiency, 1)},
            {point.mfu ? percent(*point.mfu, 1) : "-"},
            {share_of_step(point, sums.compute)},
            {share_of_step(point, sums.exposed)},
            {share_of_step(point, sums.wait)},
            {share_of_step(point, sums.bubble)},
            {share_of_step(point, sums.slowdown + sums.other)}};
}

std::string subject(const Study& study) {
    return fmt::format("{}, {} scaling, {}, {}\n",
                       study.model.name,
                       to_string(study.scaling),
                       to_string(study.setup.precision),
                       kind_of_result(study));
}

std::string remarks(const Study& study) {
    std::string text;
    for (const Point& point : study.points) {
        if (point.verdict == Verdict::not_enough_samples) {
            text += fmt::format("not enough samples: {}, {} steps; give it more --max-seconds\n",
                                ranks_title(point),
                                point.steps);
        }
    }
    for (const Straggler& straggler : study.stragglers) {
        text += fmt::format("straggler: rank {} of {} on {} ({}): {}\n",
                            straggler.rank,
                            straggler.ranks,
                            straggler.host,
                            straggler.device,
                            straggler.reason);
    }
    for (const std::string& flag : study.flags_raised) {
        text += fmt::format("flagged: {}\n", flag);
    }
    return text;
}

}  // namespace

std::string to_text(const Table& table) {
    const std::vector<std::size_t> widths = widths_of(table);
    std::string titles;
    std::string rule;
    for (std::size_t c = 0; c < widths.size(); ++c) {
        const std::string_view gap = c == 0 ? "" : "  ";
        titles += fmt::format(
            "{}{}", gap, padded(table.columns[c].title, widths[c], table.columns[c].align));
        rule += fmt::format("{}{}", gap, std::string(widths[c], '-'));
    }
    std::string text = trimmed(titles) + rule + "\n";
    for (const auto& row : table.rows) {
        std::string line;
        for (std::size_t c = 0; c < widths.size(); ++c) {
            line += fmt::format(
                "{}{}", c == 0 ? "" : "  ", padded(row[c].text, widths[c], table.columns[c].align));
        }
        text += trimmed(line);
    }
    return text;
}

Table points_overview(const Study& study) {
    Table table{.caption = "Points; shares of the mean step",
                .columns = {{"ranks"},
                            {"layout", Align::left},
                            {"step"},
                            {"95 %"},
                            {"tokens/s"},
                            {"efficiency"},
                            {"MFU"},
                            {"compute"},
                            {"exposed"},
                            {"wait"},
                            {"bubble"},
                            {"other"}},
                .rows = {}};
    for (const Point& point : study.points) {
        table.rows.push_back(overview_row(point));
    }
    return table;
}

std::string summary_text(const Study& study) {
    std::string text = headline(study) + "\n";
    if (!study.points.empty()) {
        text += "\n" + subject(study) + "\n" + to_text(points_overview(study));
    }
    const std::string notes = remarks(study);
    return notes.empty() ? text : text + "\n" + notes;
}

}  // namespace traindyno
