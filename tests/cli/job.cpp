// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/job.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/study/study_json.hpp"

namespace traindyno::test {

namespace {

void write_model(const TemporaryFolder& folder) {
    std::ofstream(folder.path() / "tiny.toml")
        << "name = \"tiny\"\nlayers = 4\nhidden = 128\nheads = 4\nseq = 64\nvocab = 1000\n";
}

std::string launcher(int ranks, const std::string& variables) {
    return fmt::format("env {} timeout 300 {} --oversubscribe --bind-to none -n {}",
                       variables,
                       TRAINDYNO_MPIRUN,
                       ranks);
}

}  // namespace

ProcessResult run_job(const TemporaryFolder& folder,
                      int ranks,
                      const std::string& arguments,
                      const std::string& variables) {
    write_model(folder);
    return run_command(
        fmt::format("{} '{}' {}", launcher(ranks, variables), TRAINDYNO_EXECUTABLE, arguments),
        folder.path());
}

Study study_of(const ProcessResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    try {
        return parse_study(result.out, "standard output");
    } catch (const ConfigError& error) {
        ADD_FAILURE() << error.what() << result.err;
        return {};
    }
}

void expect_sound(const Study& study) {
    ASSERT_EQ(study.points.size(), 1U);
    const Point& point = study.points.front();
    EXPECT_GT(point.step_seconds.mean, 0);
    EXPECT_NEAR(point.budget.total() / point.step_seconds.mean, 1, 0.01);
    EXPECT_EQ(point.reduced_values_wrong, 0);
    EXPECT_EQ(point.reduced_values_checked > 0, point.ranks > 1);
}

std::vector<std::string> volumes(const Study& study) {
    std::vector<std::string> texts;
    for (const Point& point : study.points) {
        for (const CollectiveRow& row : point.collectives) {
            texts.push_back(fmt::format(
                "{} {} {}: {} x, {} bytes", row.kind, row.group, row.ranks, row.count, row.bytes));
        }
    }
    std::sort(texts.begin(), texts.end());
    return texts;
}

StoppedJob run_job_and_stop_a_rank(const TemporaryFolder& folder,
                                   int ranks,
                                   const std::string& arguments,
                                   const std::string& variables) {
    write_model(folder);
    std::ofstream(folder.path() / "rank") << fmt::format(
        "[ \"$OMPI_COMM_WORLD_RANK\" != {} ] || echo $$ > last_rank\nexec '{}' \"$@\"\n",
        ranks - 1,
        TRAINDYNO_EXECUTABLE);
    const std::string script = fmt::format(
        "rm -f last_rank job.err; {} sh rank {} 2> job.err & job=$!\n"
        // Until steps or sizes are measured, or the job has ended.
        "while kill -0 $job && ! grep -qE 'warmed up|steps measured|out of place' job.err; do "
        "sleep 0.2; done\n"
        "sleep 1; kill -STOP $(cat last_rank); date +%s.%N > stopped\n"
        "wait $job; code=$?; date +%s.%N > ended; cat job.err >&2; exit $code",
        launcher(ranks, variables),
        arguments);
    StoppedJob job{.process = run_command(script, folder.path())};
    double stopped = 0;
    double ended = 0;
    std::ifstream(folder.path() / "stopped") >> stopped;
    std::ifstream(folder.path() / "ended") >> ended;
    job.survived = std::chrono::duration<double>(ended - stopped);
    return job;
}

void expect_hang_report(const StoppedJob& job, int timeout_s, const std::string& group) {
    EXPECT_EQ(job.process.exit_code, 5) << job.process.err;
    for (const std::string& part : {fmt::format("for {} s", timeout_s),
                                    std::string("outstanding here"),
                                    fmt::format("bytes in the {} group", group)}) {
        EXPECT_NE(job.process.err.find(part), std::string::npos) << job.process.err;
    }
    // The launcher gives what it ends a few seconds.
    EXPECT_GE(job.survived.count(), timeout_s - 1);
    EXPECT_LE(job.survived.count(), timeout_s + 30);
}

}  // namespace traindyno::test
