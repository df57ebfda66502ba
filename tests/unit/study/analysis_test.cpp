// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/analysis.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/study/sample_study.hpp"

namespace traindyno {
namespace {

using test::sample_point;

/// Two points whose steps are 4 s and 5 s, with whole numbers in every category.
Study two_points(Scaling scaling) {
    Study study;
    study.model.seq = 1000;
    study.scaling = scaling;
    study.flops_per_token = 1e9;
    Point one;
    one.ranks = 1;
    one.global_batch = 8;
    one.step_seconds.mean = 4;
    one.budget[Category::compute_forward] = 1;
    one.budget[Category::compute_backward] = 3;
    Point four = one;
    four.ranks = 4;
    four.layout.dp = 4;
    four.global_batch = scaling == Scaling::weak ? 32 : 8;
    four.step_seconds.mean = 5;
    four.budget[Category::exposed_dp] = 1;
    study.points = {four, one};  // complete() sorts
    return study;
}

TEST(Completion, weak_efficiency_is_the_ratio_of_rates_per_rank) {
    Study study = two_points(Scaling::weak);
    complete(study);
    ASSERT_EQ(study.points.size(), 2U);
    const Point& one = study.points[0];
    const Point& four = study.points[1];
    EXPECT_EQ(one.ranks, 1);
    EXPECT_EQ(one.efficiency, 1);
    EXPECT_DOUBLE_EQ(one.tokens_per_second, 2000);
    EXPECT_DOUBLE_EQ(four.tokens_per_second, 6400);
    EXPECT_DOUBLE_EQ(four.efficiency, 0.8);
    EXPECT_DOUBLE_EQ(four.tflops_per_rank, 1.6);
    EXPECT_DOUBLE_EQ(four.loss[Category::exposed_dp], 0.2);
    EXPECT_NEAR(four.loss[Category::compute_forward], 0, 1e-15);
    EXPECT_NEAR(four.loss[Category::residual], 0, 1e-15);
}

TEST(Completion, strong_efficiency_asks_each_rank_for_less) {
    Study study = two_points(Scaling::strong);
    complete(study);
    const Point& four = study.points[1];
    // Ideal step 4 s / 4; forward should have shrunk to 0.25 s and backward to 0.75 s.
    EXPECT_DOUBLE_EQ(four.efficiency, 0.2);
    EXPECT_DOUBLE_EQ(four.loss[Category::compute_forward], (1 - 0.25) / 5);
    EXPECT_DOUBLE_EQ(four.loss[Category::compute_backward], (3 - 0.75) / 5);
    EXPECT_DOUBLE_EQ(four.loss[Category::exposed_dp], 0.2);
    EXPECT_DOUBLE_EQ(four.loss.total(), 0.8);
}

TEST(Completion, losses_add_up_to_one_minus_efficiency) {
    for (const Study& study : {test::weak_study(), test::strong_study()}) {
        for (const Point& point : study.points) {
            EXPECT_NEAR(point.loss.total(), 1 - point.efficiency, 1e-12) << point.ranks;
            // The sample budgets close, so the residual takes nothing but its own share.
            EXPECT_NEAR(point.loss[Category::residual], 0, 1e-3) << point.ranks;
        }
    }
}

TEST(Completion, a_budget_that_does_not_close_shows_in_the_residual) {
    Study study = two_points(Scaling::weak);
    study.points.front().budget[Category::exposed_dp] = 0;  // 1 s of the 5 s is unexplained
    complete(study);
    EXPECT_NEAR(study.points[1].loss[Category::residual], 0.2, 1e-12);
    EXPECT_NEAR(study.points[1].loss.total(), 0.2, 1e-12);
}

TEST(Completion, superlinear_points_have_negative_losses) {
    Study study = two_points(Scaling::weak);
    study.points.front().step_seconds.mean = 3.2;
    study.points.front().budget = study.points.back().budget * 0.8;
    complete(study);
    EXPECT_DOUBLE_EQ(study.points[1].efficiency, 1.25);
    EXPECT_DOUBLE_EQ(study.points[1].loss[Category::compute_backward], 3 * (0.8 - 1) / 3.2);
    EXPECT_NEAR(study.points[1].loss.total(), -0.25, 1e-12);
}

TEST(Completion, efficiency_interval_brackets_the_estimate_and_is_a_point_at_n0) {
    const Study study = test::weak_study();
    EXPECT_EQ(study.points[0].efficiency_ci95, (std::array{1.0, 1.0}));
    for (std::size_t i = 1; i < study.points.size(); ++i) {
        const auto [low, high] = study.points[i].efficiency_ci95;
        EXPECT_LT(low, study.points[i].efficiency);
        EXPECT_GT(high, study.points[i].efficiency);
        EXPECT_LT(high - low, 0.02);
    }
}

TEST(Completion, training_time_follows_the_rate_and_the_ideal_divides_by_ranks) {
    Study study = two_points(Scaling::weak);
    complete(study);
    const Point& four = study.points[1];
    EXPECT_DOUBLE_EQ(four.time_to_train.tokens, 300e9);
    EXPECT_DOUBLE_EQ(four.time_to_train.seconds, 300e9 / 6400);
    EXPECT_DOUBLE_EQ(four.time_to_train.ideal_seconds, 300e9 / 2000 / 4);
}

TEST(Completion, statistics_come_from_the_samples_when_there_are_any) {
    Study study = two_points(Scaling::weak);
    study.points.back().step_seconds.samples = {3, 4, 5};
    complete(study);
    EXPECT_EQ(study.points[0].steps, 3);
    EXPECT_EQ(study.points[0].step_seconds.median, 4);
    EXPECT_EQ(study.points[0].step_seconds.max, 5);
}

TEST(Completion, a_mean_alone_stands_for_the_whole_distribution) {
    Study study = two_points(Scaling::weak);
    complete(study);
    EXPECT_EQ(study.points[0].step_seconds.median, 4);
    EXPECT_EQ(study.points[0].step_seconds.ci95, (std::array{4.0, 4.0}));
    EXPECT_TRUE(study.points[0].step_seconds.samples.empty());
}

TEST(Completion, twice_is_the_same_as_once) {
    for (const Study& once : {test::weak_study(), test::strong_study()}) {
        Study twice = once;
        complete(twice);
        EXPECT_EQ(twice, once);
    }
}

TEST(Completion, of_no_points_is_nothing) {
    Study study;
    complete(study);
    EXPECT_TRUE(study.points.empty());
}

Study with_ranks(const Layout& layout, std::vector<double> compute, std::vector<double> lateness) {
    Study study;
    study.model.seq = 1;
    Point point;
    point.ranks = layout.ranks();
    point.layout = layout;
    point.global_batch = 1;
    point.step_seconds.mean = 2;
    for (std::size_t i = 0; i < compute.size(); ++i) {
        RankDetail rank;
        rank.rank = static_cast<std::int64_t>(i);
        rank.host = "node-" + std::to_string(i / 4);
        rank.compute_seconds = compute[i];
        rank.lateness_seconds = lateness[i];
        point.ranks_detail.push_back(rank);
    }
    study.points = {point};
    complete(study);
    return study;
}

TEST(Stragglers, a_slow_rank_is_named_with_host_and_reason) {
    const Study study =
        with_ranks({.dp = 8}, {1, 1.01, 0.99, 1, 1, 1.25, 1.01, 0.99}, std::vector(8, 0.0));
    ASSERT_EQ(study.stragglers.size(), 1U);
    EXPECT_EQ(study.stragglers[0].rank, 5);
    EXPECT_EQ(study.stragglers[0].host, "node-1");
    EXPECT_NE(study.stragglers[0].reason.find("compute 25 % above the median"), std::string::npos);
    EXPECT_GT(study.points[0].ranks_detail[5].compute_z, 3.5);
}

TEST(Stragglers, a_significant_but_small_difference_is_not_named) {
    const Study study =
        with_ranks({.dp = 8}, {1, 1.0001, 0.9999, 1, 1, 1.04, 1.0001, 0.9999}, std::vector(8, 0.0));
    EXPECT_GT(study.points[0].ranks_detail[5].compute_z, 3.5);
    EXPECT_TRUE(study.stragglers.empty());
}

TEST(Stragglers, a_late_rank_is_named_when_it_costs_the_step_something) {
    const std::vector<double> late{0.01, 0.012, 0.3, 0.011, 0.009, 0.01, 0.008, 0.012};
    const Study study = with_ranks({.dp = 8}, std::vector(8, 1.0), late);
    ASSERT_EQ(study.stragglers.size(), 1U);
    EXPECT_EQ(study.stragglers[0].rank, 2);
    // (0.3 - 0.0105) / 2 of the step
    EXPECT_NE(study.stragglers[0].reason.find("by 14 % of the step"), std::string::npos)
        << study.stragglers[0].reason;
}

TEST(Stragglers, stages_of_a_pipeline_are_judged_among_themselves) {
    // The last stage works twice as long because of the logits: nobody is odd.
    const Study study =
        with_ranks({.dp = 4, .pp = 2}, {1, 1.01, 1, 0.99, 2, 2.01, 2, 1.99}, std::vector(8, 0.0));
    EXPECT_TRUE(study.stragglers.empty());
}

TEST(Merging, joins_the_points_of_several_jobs_into_one_curve) {
    const Study whole = test::weak_study();
    Study small = whole;
    small.points.resize(2);
    small.commands = {"mpirun -n 2"};
    Study large = whole;
    large.points.erase(large.points.begin(), large.points.begin() + 2);
    large.commands = {"mpirun -n 8"};
    large.created = "2025-06-02T12:00:00Z";
    for (Study* study : {&small, &large}) {
        complete(*study);
    }
    EXPECT_EQ(large.points.front().efficiency, 1);

    const Study merged = merge({large, small});
    EXPECT_EQ(merged.points, whole.points);
    EXPECT_EQ(merged.stragglers, whole.stragglers);
    EXPECT_EQ(merged.commands, (std::vector<std::string>{"mpirun -n 2", "mpirun -n 8"}));
    EXPECT_EQ(merged.created, large.created);
    EXPECT_TRUE(merged.flags_raised.empty());
}

TEST(Merging, keeps_the_newer_of_two_equal_points_and_says_so) {
    const Study older = test::weak_study();
    Study newer = older;
    newer.created = "2025-07-01T00:00:00Z";
    newer.points.resize(1);
    newer.points[0].warmup_steps = 99;
    const Study merged = merge({older, newer});
    ASSERT_EQ(merged.points.size(), 4U);
    EXPECT_EQ(merged.points[0].warmup_steps, 99);
    ASSERT_EQ(merged.flags_raised.size(), 1U);
    EXPECT_NE(merged.flags_raised[0].find("1 ranks were measured more than once"),
              std::string::npos);
}

TEST(Merging, environments_that_differ_are_flagged_and_joined) {
    Study a = test::weak_study();
    Study b = a;
    b.points.clear();
    b.environment.mpi = "MPICH 4.0.2";
    b.environment.env.erase("OMP_NUM_THREADS");
    b.environment.hosts[0].name = "node-c";
    a.created = "2025-07-01T00:00:00Z";
    const Study merged = merge({a, b});
    EXPECT_EQ(merged.environment.hosts.size(), 3U);
    ASSERT_EQ(merged.flags_raised.size(), 2U);
    EXPECT_NE(merged.flags_raised[0].find("MPICH 4.0.2"), std::string::npos);
    EXPECT_EQ(merged.flags_raised[1],
              "merged jobs differ in OMP_NUM_THREADS: \"1\" and \"not set\"");
}

TEST(Merging, gpus_of_all_jobs_are_kept_and_their_differences_flagged) {
    Study a = test::gpu_study();
    Study b = a;
    a.created = "2025-07-01T00:00:00Z";
    a.points.resize(1);
    b.points.erase(b.points.begin());
    b.environment.devices.resize(1);
    b.environment.devices[0].name = "NVIDIA H100";
    b.environment.devices[0].uuid = "GPU-8";
    b.environment.gpu_libraries["NCCL"] = "2.27.7";
    b.environment.gpu_libraries.erase("CUDA driver");
    b.environment.nccl.emplace_back("NET/Socket : Using [0]eth0");
    const Study merged = merge({a, b});
    EXPECT_EQ(merged.environment.devices.size(), 9U);
    EXPECT_EQ(merged.environment.nccl.size(), 2U);
    EXPECT_EQ(merged.flags_raised,
              (std::vector<std::string>{
                  R"(merged jobs differ in GPUs: "NVIDIA H200" and "NVIDIA H100")",
                  R"(merged jobs differ in version of CUDA driver: "13.0" and "none")",
                  R"(merged jobs differ in version of NCCL: "2.28.9" and "2.27.7")"}));
    ASSERT_EQ(merged.points.size(), 4U);
    EXPECT_EQ(merged.points[3].joules_per_token, test::gpu_study().points[3].joules_per_token);
}

TEST(Merging, refuses_jobs_of_different_experiments_with_all_reasons) {
    const Study a = test::weak_study();
    Study b = a;
    b.model.hidden = 1024;
    b.setup.precision = Precision::bf16;
    b.device = "timed";
    for (Point& point : b.points) {
        point.global_batch *= 2;
    }
    EXPECT_EQ(differences(a, a), std::vector<std::string>{});
    EXPECT_EQ(differences(a, b),
              (std::vector<std::string>{"hidden: 768 and 1024",
                                        "precision: fp32 and bf16",
                                        "device: cpu and timed",
                                        "batch per replica: 2 and 4"}));
    try {
        (void)merge({a, b});
        FAIL() << "merged";
    } catch (const ConfigError& error) {
        EXPECT_EQ(error.problems().size(), 4U);
    }
}

TEST(Merging, one_study_is_itself) {
    EXPECT_EQ(merge({test::strong_study()}), test::strong_study());
}

}  // namespace
}  // namespace traindyno
