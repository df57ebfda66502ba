// SPDX-License-Identifier: Apache-2.0
// Requests of the commands that measure nothing.
#include <fmt/format.h>

#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/workload_request.hpp"
#include "emulator/program/build.hpp"

namespace traindyno {

namespace {

/// The layout and the global batch where they do not come from a job's size.
Layout read_layout(const FlagReader& read, Workload& workload) {
    const Layout layout = layout_of(workload, read.count("dp").value_or(workload.ep));
    workload.setup.global_batch =
        read.count("global-batch").value_or(batch_per_replica(read, workload) * layout.dp);
    return layout;
}

void check_workload(const Workload& workload, const Layout& layout, Problems& problems) {
    if (problems.empty()) {
        for (const std::string& problem : problems_of(workload.model, layout, workload.setup)) {
            problems.add(problem);
        }
    }
}

}  // namespace

DescribeArguments describe_arguments(const Flags& flags, Problems& problems) {
    const FlagReader read(flags.values, problems);
    DescribeArguments arguments;
    arguments.workload = read_workload(flags, read, Precision::bf16, problems);
    arguments.layout = read_layout(read, arguments.workload);
    arguments.tokens = read.number("tokens", {.low = 1, .high = 1e18}).value_or(arguments.tokens);
    arguments.json = read.given("json");
    check_workload(arguments.workload, arguments.layout, problems);
    problems.throw_if_any();
    return arguments;
}

ShowArguments show_arguments(const Flags& flags, Problems& problems) {
    const FlagReader read(flags.values, problems);
    ShowArguments arguments;
    arguments.workload = read_workload(flags, read, Precision::bf16, problems);
    arguments.layout = read_layout(read, arguments.workload);
    if (const auto name = read.text("machine")) {
        problems.collect([&] { arguments.machine = load_machine(*name); });
    }
    if (const auto rank = read.whole("rank", {.low = 0, .high = largest_count})) {
        arguments.rank = WorldRank{*rank};
        if (*rank >= arguments.layout.ranks()) {
            problems.add(
                fmt::format("{}: {} is no rank of this job ({} has {}) choose one from 0 to {}",
                            read.origin("rank"),
                            *rank,
                            to_string(arguments.layout),
                            arguments.layout.ranks(),
                            arguments.layout.ranks() - 1));
        }
    }
    check_workload(arguments.workload, arguments.layout, problems);
    problems.throw_if_any();
    return arguments;
}

ReportArguments report_arguments(const Flags& flags, Problems& problems) {
    const FlagReader read(flags.values, problems);
    ReportArguments arguments{.results = flags.positionals, .out = read.text("out").value_or("")};
    if (arguments.results.empty()) {
        problems.add(
            "no result folder given (there is nothing to report) try: traindyno report results "
            "--out report");
    }
    if (!read.given("out")) {
        problems.add(
            "--out: missing (the report is written there) name a folder, e.g. --out report");
    }
    problems.throw_if_any();
    return arguments;
}

}  // namespace traindyno
