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

ExitCode report_command(const Flags& flags, Problems& problems) {
    const ReportArguments arguments = report_arguments(flags, problems);
    std::vector<Study> studies;
    for (const std::string& folder : arguments.results) {
        problems.collect([&] { studies.push_back(read_results(folder)); });
    }
    problems.throw_if_any();
    const Study study = merge(std::move(studies));
    write_report(study, arguments.out);
    fmt::print("{}\nreport: {}\n",
               summary_text(study),
               (std::filesystem::path(arguments.out) / "report.html").string());
    return ExitCode::done;
}

}  // namespace traindyno
