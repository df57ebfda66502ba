// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "emulator/cli/commands.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/report/report.hpp"
#include "emulator/study/analysis.hpp"
#include "emulator/study/result_files.hpp"

namespace traindyno {

void print_notes(const std::vector<std::string>& notes) {
    for (const std::string& note : notes) {
        fmt::print(stderr, "note: {}\n", note);
    }
}

ExitCode report_command(const Flags& flags, Problems& problems) {
    const ReportArguments arguments = report_arguments(flags, problems);
    std::vector<Study> studies;
    for (const std::string& folder : arguments.results) {
        problems.collect([&] { studies.push_back(read_results(folder)); });
    }
    problems.throw_if_any();
    const std::vector<Study> curves = curves_of(std::move(studies));
    print_notes(write_reports(curves, arguments.out));
    for (const Study& curve : curves) {
        fmt::print("{}\n", summary_text(curve));
    }
    fmt::print("report: {}\n", (std::filesystem::path(arguments.out) / "report.html").string());
    return ExitCode::done;
}

}  // namespace traindyno
