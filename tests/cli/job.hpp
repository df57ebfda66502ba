// SPDX-License-Identifier: Apache-2.0
// Jobs of several ranks as a user starts them, and what must hold of every result.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/study/study.hpp"
#include "tests/support/process.hpp"

namespace traindyno::test {

/// Runs `traindyno ARGUMENTS` on `ranks` ranks in `folder`, where tiny.toml is a model of 4 layers,
/// 4 heads and 128 columns. `variables`: for the environment, "A=1 B=2". Ends after 5 minutes.
[[nodiscard]] ProcessResult run_job(const TemporaryFolder& folder,
                                    int ranks,
                                    const std::string& arguments,
                                    const std::string& variables = "");

/// The study that a job with --json printed; fails the test when there is none.
[[nodiscard]] Study study_of(const ProcessResult& result);

/// One point; every rank's budget adds up to the step; reduced values were looked at and right.
void expect_sound(const Study& study);

/// "all_reduce tp 2: 12 x, 4096 bytes" per kind of traffic.
[[nodiscard]] std::vector<std::string> volumes(const Study& study);

struct StoppedJob {
    ProcessResult process;
    std::chrono::duration<double> survived{0};  ///< by the job, from the stop on
};

/// Runs the same until it measures, stops the last rank (SIGSTOP: a rank that dies would take the
/// launcher and so the others with it) and waits for the end.
[[nodiscard]] StoppedJob run_job_and_stop_a_rank(const TemporaryFolder& folder,
                                                 int ranks,
                                                 const std::string& arguments,
                                                 const std::string& variables = "");

/// What the others say and how they end, when --timeout was `timeout_s`.
void expect_hang_report(const StoppedJob& job, int timeout_s, const std::string& group);

}  // namespace traindyno::test
