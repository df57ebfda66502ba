// SPDX-License-Identifier: Apache-2.0
// Jobs of several ranks on a machine without GPUs.
#include "tests/cli/job.hpp"

namespace traindyno::test {
namespace {

/// GPUs that are there are hidden.
const std::string no_gpu = "CUDA_VISIBLE_DEVICES=";

const std::string tiny =
    "run --model tiny.toml --threads 1 --allow-oversubscribe --warmup 1 --json ";

TEST(Job, without_a_gpu_computes_on_the_cpu) {
    const TemporaryFolder folder;
    const Study study = study_of(run_job(folder, 2, tiny + "--device auto --steps 2", no_gpu));
    expect_sound(study);
    EXPECT_EQ(study.device, "cpu");
    EXPECT_TRUE(study.environment.devices.empty());
}

TEST(Job, in_which_a_rank_stops_ends_within_the_deadline_and_says_where) {
    const TemporaryFolder folder;
    const StoppedJob job = run_job_and_stop_a_rank(
        folder, 2, tiny + "--device cpu --tracing off --steps 100000 --timeout 3", no_gpu);
    expect_hang_report(job, 3, "dp");
}

}  // namespace
}  // namespace traindyno::test
