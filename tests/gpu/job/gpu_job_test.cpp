// SPDX-License-Identifier: Apache-2.0
// Jobs of one to four ranks on one GPU, as a user starts them.
#include <ostream>

#include "tests/cli/job.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno::test {
namespace {

/// The first GPU alone is visible, so that ranks have to share it.
const std::string one_gpu =
    "CUDA_VISIBLE_DEVICES=\"$(echo \"${CUDA_VISIBLE_DEVICES:-0}\" | cut -d, -f1)\"";

const std::string tiny =
    "run --model tiny.toml --device cuda --allow-oversubscribe --plan-cache plans.json --json "
    "--warmup 2 --steps 2 ";

/// Tuned products stay in it for the next job.
const TemporaryFolder& folder() {
    static const TemporaryFolder once;
    return once;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

bool raises(const Study& study, const std::string& flag) {
    for (const std::string& raised : study.flags_raised) {
        if (has(raised, flag)) {
            return true;
        }
    }
    return false;
}

struct JobCase {
    std::string name;
    int ranks = 2;
    std::string arguments{};

    friend void PrintTo(const JobCase& value, std::ostream* out) { *out << value.name; }
};

class GpuJob : public testing::TestWithParam<JobCase> {
  protected:
    void SetUp() override { TD_REQUIRE_GPU(); }
};

TEST_P(GpuJob, on_a_shared_gpu_is_right_and_marked) {
    const Study study = study_of(
        run_job(folder(), GetParam().ranks, tiny + "--share-gpu " + GetParam().arguments, one_gpu));
    expect_sound(study);
    EXPECT_EQ(study.device, "cuda");
    EXPECT_EQ(study.environment.devices.size(), 1U);
    EXPECT_TRUE(raises(study, "not a performance result"));
}

INSTANTIATE_TEST_SUITE_P(
    Layouts,
    GpuJob,
    testing::Values(JobCase{"dp2"},
                    JobCase{"tp2", 2, "--tp 2"},
                    JobCase{"pp2", 2, "--pp 2"},
                    JobCase{"dp2_pp2", 4, "--pp 2"},
                    JobCase{"tp2_dp2", 4, "--tp 2"},
                    JobCase{"pp4", 4, "--pp 4"},
                    JobCase{"dp2_mpi", 2, "--collectives mpi"},
                    JobCase{"tp2_mpi", 2, "--tp 2 --collectives mpi"},
                    JobCase{"pp2_mpi", 2, "--pp 2 --collectives mpi"},
                    JobCase{"dp2_graph", 2, "--graph"},
                    JobCase{"tp2_graph", 2, "--tp 2 --graph"},
                    JobCase{"pp2_graph", 2, "--pp 2 --graph"},
                    JobCase{"dp2_fp8", 2, "--precision fp8"},
                    JobCase{"tp2_fp8_graph", 2, "--tp 2 --precision fp8 --graph"},
                    JobCase{"cp2", 2, "--cp 2"},
                    JobCase{"cp2_graph", 2, "--cp 2 --graph"},
                    JobCase{"cp2_mpi", 2, "--cp 2 --collectives mpi"},
                    JobCase{"cp4_fp32", 4, "--cp 4 --precision fp32"},
                    JobCase{
                        "cp2_gathered_graph", 2, "--cp 2 --context-exchange all-gather --graph"},
                    JobCase{"cp2_tp2_contiguous", 4, "--cp 2 --tp 2 --context-balance contiguous"},
                    JobCase{"cp2_pp2_full", 4, "--cp 2 --pp 2 --recompute full"},
                    JobCase{"tp2_fp32", 2, "--tp 2 --precision fp32"},
                    JobCase{"dp2_fp16", 2, "--precision fp16"},
                    JobCase{"pp2_aliased", 2, "--pp 2 --memory aliased"}),
    [](const auto& param) { return param.param.name; });

class OneGpu : public testing::Test {
  protected:
    void SetUp() override { TD_REQUIRE_GPU(); }
};

TEST_F(OneGpu, alone_is_no_shared_gpu) {
    for (const std::string& arguments : {std::string(), std::string("--graph")}) {
        const Study study = study_of(run_job(folder(), 1, tiny + arguments, one_gpu));
        expect_sound(study);
        EXPECT_FALSE(raises(study, "not a performance result"));
    }
}

TEST_F(OneGpu, moves_the_same_bytes_whoever_carries_them_as_on_the_cpu) {
    const std::string layout = "--tp 2 --precision fp32 ";
    const auto of = [&](const std::string& arguments) {
        return volumes(
            study_of(run_job(folder(), 4, tiny + layout + "--share-gpu " + arguments, one_gpu)));
    };
    const std::vector<std::string> expected = volumes(
        study_of(run_job(folder(),
                         4,
                         "run --model tiny.toml --device cpu --threads 1 --allow-oversubscribe "
                         "--json --warmup 1 --steps 2 " +
                             layout)));
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(of(""), expected);
    EXPECT_EQ(of("--graph"), expected);
    EXPECT_EQ(of("--collectives mpi"), expected);
}

TEST_F(OneGpu, is_not_shared_unasked) {
    const ProcessResult result = run_job(folder(), 2, tiny, one_gpu);
    EXPECT_EQ(result.exit_code, 3) << result.err;
    for (const char* part : {"shared GPU", "ranks 0", "GPU GPU-", "--share-gpu"}) {
        EXPECT_TRUE(has(result.err, part)) << part << " is not in:\n" << result.err;
    }
}

TEST_F(OneGpu, refuses_a_model_that_does_not_fit_item_by_item) {
    const ProcessResult result = run_job(
        folder(), 1, "run --model gpt3-175b --device cuda --plan-cache plans.json", one_gpu);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    for (const char* part : {"does not fit",
                             "the GPU has free",
                             "weights",
                             "gradients",
                             "master_weights",
                             "adam_m",
                             "attention_workspace",
                             "total"}) {
        EXPECT_TRUE(has(result.err, part)) << part << " is not in:\n" << result.err;
    }
}

TEST_F(OneGpu, of_a_job_with_a_stopped_rank_is_given_back) {
    for (const std::string& launch : {std::string(), std::string("--collectives mpi ")}) {
        const StoppedJob job = run_job_and_stop_a_rank(
            folder(),
            2,
            "run --model tiny.toml --device cuda --share-gpu --allow-oversubscribe --plan-cache "
            "plans.json --warmup 2 --tracing off --steps 100000 --timeout 20 " +
                launch,
            one_gpu);
        expect_hang_report(job, 20, "dp");
        // The next job has the GPU to itself.
        expect_sound(study_of(run_job(folder(), 1, tiny, one_gpu)));
    }
}

}  // namespace
}  // namespace traindyno::test
