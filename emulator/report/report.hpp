// SPDX-License-Identifier: Apache-2.0
// A study for people: one sentence, a terminal table, and a page with charts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

/// The answer in a sentence: how much of linear scaling the largest point keeps, and where the
/// rest went. `study` must be completed (complete(Study&)), here and below.
[[nodiscard]] std::string headline(const Study& study);

/// The headline and a table of the points, for a terminal.
[[nodiscard]] std::string summary_text(const Study& study);

/// Writes report.html (self-contained), report.md and charts/ (a CSV, a gnuplot script and a
/// picture per chart) into `out`. Returns what could not be done, in sentences for the user:
/// without gnuplot the report has no pictures. Throws ConfigError when `out` cannot be written.
std::vector<std::string> write_report(const Study& study, const std::filesystem::path& out);

/// One curve: its report. Several: a report of each in out/curve-<n>/, and a report.html and a
/// report.md that give every answer and lead to the details. Returns as write_report does.
std::vector<std::string> write_reports(const std::vector<Study>& curves,
                                       const std::filesystem::path& out);

}  // namespace traindyno
