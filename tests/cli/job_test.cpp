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

/// Four layers, so that two stages can have two chunks each.
TEST(Job, of_every_pipeline_schedule_finishes) {
    const std::string steps = "--steps 2 --global-batch 4 --timeout 60 ";
    for (const std::string schedule : {"gpipe", "1f1b", "interleaved", "zero-bubble"}) {
        for (const std::string overlap : {"on", "off"}) {
            const TemporaryFolder folder;
            const Study study =
                study_of(run_job(folder,
                                 2,
                                 tiny + "--device cpu --pp 2 " + steps + "--overlap-p2p " +
                                     overlap + " --schedule " + schedule,
                                 no_gpu));
            expect_sound(study);
            EXPECT_EQ(to_string(study.setup.schedule), schedule);
        }
    }
}

TEST(Job, of_four_stages_of_unequal_size_finishes) {
    for (const std::string schedule : {"1f1b", "zero-bubble", "interleaved --virtual-stages 1"}) {
        const TemporaryFolder folder;
        const Study study =
            study_of(run_job(folder,
                             4,
                             tiny +
                                 "--device timed --machine dgx-a100 --layers 6 --pp 4 --steps 2 "
                                 "--global-batch 8 --stage-layers 1,2,2,1 --schedule " +
                                 schedule,
                             no_gpu));
        expect_sound(study);
        EXPECT_EQ(study.setup.stage_layers, (std::vector<std::int64_t>{1, 2, 2, 1}));
    }
}

}  // namespace
}  // namespace traindyno::test
