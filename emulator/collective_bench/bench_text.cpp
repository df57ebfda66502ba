// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_text.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Three digits or more, in eight columns.
std::string figure(double value) {
    return fmt::format("{:>8.{}f}", value, value < 100 ? 2 : value < 10'000 ? 1 : 0);
}

std::string result_columns(const BenchRow* row) {
    if (row == nullptr) {
        return fmt::format("  {:>8}{:>8}{:>8}{:>8}", "N/A", "N/A", "N/A", "N/A");
    }
    return fmt::format("  {}{}{}{:>8}",
                       figure(row->time.p50 * micro),
                       figure(row->algbw_gbs()),
                       figure(row->busbw_gbs()),
                       row->wrong ? fmt::format("{}", *row->wrong) : "N/A");
}

std::string spread_columns(const BenchRow* row) {
    if (row == nullptr) {
        return fmt::format("  {:>8} {:>8} {:>8}", "N/A", "N/A", "N/A");
    }
    return fmt::format("  {} {} {}",
                       figure(row->time.min * micro),
                       figure(row->time.p95 * micro),
                       figure(row->time.max * micro));
}

const BenchRow* find(const std::vector<BenchRow>& rows, Placement placement) {
    const auto found = std::find_if(
        rows.begin(), rows.end(), [&](const BenchRow& row) { return row.placement == placement; });
    return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::string bench_heading(ModelColumn model) {
    const bool modelled = model == ModelColumn::present;
    return fmt::format("#{:>11}{:>14}{:>7}{:>9}{:>6}  {:>32}  {:>32}  {:>26}  {:>26}{}\n",
                       "",
                       "",
                       "",
                       "",
                       "",
                       "out-of-place",
                       "in-place",
                       "out-of-place",
                       "in-place",
                       modelled ? fmt::format("  {:>8}", "") : "") +
           fmt::format("#{:>11}{:>14}{:>7}{:>9}{:>6}", "size", "count", "type", "redop", "root") +
           fmt::format("  {:>8}{:>8}{:>8}{:>8}", "time", "algbw", "busbw", "#wrong") +
           fmt::format("  {:>8}{:>8}{:>8}{:>8}", "time", "algbw", "busbw", "#wrong") +
           fmt::format("  {:>8} {:>8} {:>8}", "min", "p95", "max") +
           fmt::format("  {:>8} {:>8} {:>8}", "min", "p95", "max") +
           (modelled ? fmt::format("  {:>8}", "model") : "") + "\n" +
           fmt::format("#{:>11}{:>14}{:>7}{:>9}{:>6}", "(B)", "(elements)", "", "", "") +
           fmt::format("  {:>8}{:>8}{:>8}{:>8}", "(us)", "(GB/s)", "(GB/s)", "") +
           fmt::format("  {:>8}{:>8}{:>8}{:>8}", "(us)", "(GB/s)", "(GB/s)", "") +
           fmt::format("  {:>8} {:>8} {:>8}", "(us)", "(us)", "(us)") +
           fmt::format("  {:>8} {:>8} {:>8}", "(us)", "(us)", "(us)") +
           (modelled ? fmt::format("  {:>8}", "(us)") : "") + "\n";
}

std::string bench_line(const std::vector<BenchRow>& placements, ModelColumn model) {
    TD_EXPECT(!placements.empty());
    const BenchRow& any = placements.front();
    const BenchRow* const apart = find(placements, Placement::apart);
    const BenchRow* const in_place = find(placements, Placement::in_place);
    std::string line = fmt::format(" {:>11}{:>14}{:>7}{:>9}{:>6}",
                                   any.bytes().value(),
                                   any.shape.count,
                                   to_string(any.what.type),
                                   reduces(any.what.op) ? to_string(any.what.reduction) : "none",
                                   any.what.op == BenchOp::broadcast ? any.what.root.value() : -1);
    line += result_columns(apart) + result_columns(in_place);
    line += spread_columns(apart) + spread_columns(in_place);
    if (model == ModelColumn::present) {
        line += any.predicted_s ? "  " + figure(*any.predicted_s * micro)
                                : fmt::format("  {:>8}", "N/A");
    }
    return line + "\n";
}

std::string bench_footing(const std::vector<BenchRow>& rows) {
    TD_EXPECT(!rows.empty());
    double bandwidth = 0;
    std::int64_t wrong = 0;
    bool checked = false;
    for (const BenchRow& row : rows) {
        bandwidth += row.busbw_gbs();
        wrong += row.wrong.value_or(0);
        checked = checked || row.wrong.has_value();
    }
    return fmt::format("# Wrong values          : {}\n# Avg bus bandwidth (GB/s): {:.4g}\n",
                       !checked     ? "not checked"
                       : wrong == 0 ? "0 OK"
                                    : fmt::format("{} FAILED", wrong),
                       bandwidth / static_cast<double>(rows.size()));
}

std::string complaint_text(const std::vector<std::string>& complaints) {
    constexpr std::size_t most_lines = 20;
    if (complaints.empty()) {
        return "";
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(complaints.size(), most_lines); ++i) {
        text += fmt::format("traindyno: {}\n", complaints[i]);
    }
    return text + fmt::format(
                      "traindyno: wrong results, {} times (the backend, the network or "
                      "memory is at fault) compare another --collectives\n",
                      complaints.size());
}

ExitCode exit_code_of(const std::vector<std::string>& complaints) {
    return complaints.empty() ? ExitCode::done : ExitCode::internal;
}

}  // namespace traindyno
