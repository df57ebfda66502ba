// SPDX-License-Identifier: Apache-2.0
// How a GemmLibrary behaves: kept plans, graphs, memory, operands that do not fit.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "tests/gpu/gemm/trial.hpp"
#include "tests/gpu/require_gpu.hpp"
#include "tests/support/process.hpp"

namespace traindyno::test {
namespace {

const GemmKey forward{.m = 256, .n = 512, .k = 384, .transpose_b = Transpose::yes};

std::vector<std::byte> product(GemmLibrary& library, const GemmKey& key) {
    const Trial trial(key);
    library.run(library.prepare(key), trial.operands(), trial.stream());
    trial.expect_outputs();
    return trial.c();
}

TEST(GemmLibrary, takes_from_its_file_what_an_earlier_run_tuned) {
    TD_REQUIRE_GPU();
    const TemporaryFolder folder;
    const std::string file = (folder.path() / "plans.json").string();
    GemmLibrary first(file);
    const std::vector<std::byte> c = product(first, forward);
    EXPECT_EQ(first.counts(), (PlanCounts{.tuned = 1}));
    first.save_plans();
    GemmLibrary second(file);
    EXPECT_EQ(product(second, forward), c);
    EXPECT_EQ(second.counts(), (PlanCounts{.from_file = 1})) << "no heuristics, no timing";
    EXPECT_EQ(tuned(second.prepare(forward)), tuned(first.prepare(forward)));
}

TEST(GemmLibrary, tunes_anew_when_the_algorithm_of_its_file_cannot_run) {
    TD_REQUIRE_GPU();
    const TemporaryFolder folder;
    const std::filesystem::path file = folder.path() / "plans.json";
    GemmLibrary first(file.string());
    (void)first.prepare(forward);
    first.save_plans();
    std::ifstream in(file);
    std::string text = (std::stringstream() << in.rdbuf()).str();
    constexpr std::string_view name = "\"algorithm\": \"";
    const std::size_t at = text.find(name);
    ASSERT_NE(at, std::string::npos);
    text.replace(at + name.size(), 128, 128, 'f');
    std::ofstream(file) << text;
    GemmLibrary second(file.string());
    (void)product(second, forward);
    EXPECT_EQ(second.counts(), (PlanCounts{.tuned = 1}));
}

TEST(GemmLibrary, prepares_a_product_once) {
    TD_REQUIRE_GPU();
    GemmLibrary library("");
    const GemmPlan& plan = library.prepare(forward);
    EXPECT_EQ(&library.prepare(forward), &plan);
    EXPECT_EQ(key_of(plan), forward);
    EXPECT_EQ(library.counts(), (PlanCounts{.tuned = 1}));
}

TEST(GemmLibrary, measures_what_it_tuned) {
    TD_REQUIRE_GPU();
    GemmLibrary library("");
    GemmKey large = forward;
    large.m = large.n = large.k = 4096;
    const double now_us = library.measure(large);
    EXPECT_GT(now_us, 0);
    EXPECT_NEAR(now_us / tuned(library.prepare(large)).microseconds, 1, 0.5);
    EXPECT_LT(library.measure(forward), now_us);
}

TEST(GemmLibrary, allocates_nothing_in_a_run) {
    TD_REQUIRE_GPU();
    GemmLibrary library("");
    GemmPlan& plan = library.prepare(forward);
    const Trial trial(forward);
    const auto run_and_wait = [&] {
        library.run(plan, trial.operands(), trial.stream());
        TD_CUDA(cudaStreamSynchronize(trial.stream()));
    };
    run_and_wait();
    std::size_t total = 0;
    std::size_t before = 0;
    std::size_t after = 0;
    TD_CUDA(cudaMemGetInfo(&before, &total));
    for (int i = 0; i < 20; ++i) {
        run_and_wait();
    }
    TD_CUDA(cudaMemGetInfo(&after, &total));
    EXPECT_EQ(after, before);
}

TEST(GemmLibrary, runs_in_a_captured_graph) {
    TD_REQUIRE_GPU();
    GemmKey key = forward;
    key.epilogue = Epilogue::bias;
    GemmLibrary library("");
    GemmPlan& plan = library.prepare(key);
    Trial trial(key);
    library.run(plan, trial.operands(), trial.stream());
    trial.reset();
    cudaGraph_t graph = nullptr;
    TD_CUDA(cudaStreamBeginCapture(trial.stream(), cudaStreamCaptureModeGlobal));
    library.run(plan, trial.operands(), trial.stream());
    TD_CUDA(cudaStreamEndCapture(trial.stream(), &graph));
    cudaGraphExec_t executable = nullptr;
    TD_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    for (int i = 0; i < 2; ++i) {
        trial.reset();
        TD_CUDA(cudaGraphLaunch(executable, trial.stream()));
        trial.expect_outputs();
    }
    TD_CUDA(cudaGraphExecDestroy(executable));
    TD_CUDA(cudaGraphDestroy(graph));
}

TEST(GemmLibrary, accumulates_micro_batches_into_the_main_gradient) {
    TD_REQUIRE_GPU();
    const GemmKey once{.m = 64,
                       .n = 48,
                       .k = 128,
                       .transpose_a = Transpose::yes,
                       .accumulate = Accumulate::yes,
                       .type_c = GemmType::fp32};
    GemmLibrary library("");
    GemmPlan& plan = library.prepare(once);
    const Trial trial(once);
    library.run(plan, trial.operands(), trial.stream());
    const std::vector<std::byte> first = trial.c();
    library.run(plan, trial.operands(), trial.stream());
    const std::vector<std::byte> second = trial.c();
    library.run(plan, trial.operands(), trial.stream());
    const std::vector<std::byte> third = trial.c();
    for (std::size_t at = 0; at < first.size(); at += sizeof(float)) {
        const double step = load(GemmType::fp32, &second[at]) - load(GemmType::fp32, &first[at]);
        const double next = load(GemmType::fp32, &third[at]) - load(GemmType::fp32, &second[at]);
        ASSERT_NEAR(step, next, 1e-3);
    }
}

TEST(GemmLibrary, leaves_multiprocessors_to_communication_under_a_key_of_its_own) {
    TD_REQUIRE_GPU();
    GemmKey reserved = forward;
    reserved.reserved_sms = 16;
    GemmLibrary library("");
    (void)product(library, forward);
    (void)product(library, reserved);
    EXPECT_EQ(library.counts(), (PlanCounts{.tuned = 2}));
}

TEST(GemmLibrary, refuses_pointers_less_aligned_than_its_plan) {
    TD_REQUIRE_GPU();
    GemmLibrary library("");
    GemmPlan& plan = library.prepare(forward);
    const Trial trial(forward);
    GemmOperands shifted = trial.operands();
    shifted.a = static_cast<const std::byte*>(shifted.a) + 128;
    EXPECT_THROW(library.run(plan, shifted, trial.stream()), ContractError);
    TD_CUDA(cudaStreamSynchronize(trial.stream()));
}

}  // namespace
}  // namespace traindyno::test
