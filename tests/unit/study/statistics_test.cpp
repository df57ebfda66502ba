// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

TEST(Statistics, median_is_the_middle_value_or_the_mean_of_the_two) {
    EXPECT_EQ(median(std::vector{5.0, 1.0, 9.0}), 5.0);
    EXPECT_EQ(median(std::vector{4.0, 1.0, 9.0, 2.0}), 3.0);
    EXPECT_EQ(median(std::vector{7.0}), 7.0);
    EXPECT_EQ(median(std::vector<double>{}), 0.0);
}

TEST(Statistics, percentile_interpolates_between_order_statistics) {
    const std::vector<double> values{40, 10, 20, 30, 50};
    EXPECT_EQ(percentile(values, 0), 10);
    EXPECT_EQ(percentile(values, 1), 50);
    EXPECT_EQ(percentile(values, 0.5), 30);
    EXPECT_DOUBLE_EQ(percentile(values, 0.95), 48);  // position 3.8 of 0..4
    EXPECT_THROW((void)percentile(values, 1.01), ContractError);
}

TEST(Statistics, mean_of_an_arithmetic_series_is_its_middle) {
    EXPECT_DOUBLE_EQ(mean(std::vector{1.0, 2.0, 3.0, 4.0}), 2.5);
    EXPECT_EQ(mean(std::vector<double>{}), 0.0);
}

TEST(Statistics, interval_of_equal_samples_has_no_width) {
    const auto [low, high] = median_ci95(std::vector(20, 1.5));
    EXPECT_EQ(low, 1.5);
    EXPECT_EQ(high, 1.5);
}

TEST(Statistics, interval_is_repeatable_and_brackets_the_median) {
    std::vector<double> values;
    for (int i = 0; i < 41; ++i) {
        values.push_back(1.0 + 0.01 * i);
    }
    const auto first = median_ci95(values);
    EXPECT_EQ(first, median_ci95(values));
    EXPECT_LT(first[0], median(values));
    EXPECT_GT(first[1], median(values));
}

TEST(Statistics, interval_covers_the_true_median_about_95_times_in_100) {
    std::mt19937 generator(7);
    std::normal_distribution<double> normal(10, 1);
    int covered = 0;
    constexpr int trials = 200;
    for (int trial = 0; trial < trials; ++trial) {
        std::vector<double> values(41);
        std::generate(values.begin(), values.end(), [&] { return normal(generator); });
        const auto [low, high] = median_ci95(values);
        covered += low <= 10 && 10 <= high ? 1 : 0;
    }
    // Binomial(200, 0.95): mean 190, sigma 3.1.
    EXPECT_GE(covered, 178);
    EXPECT_LT(covered, trials);
}

TEST(Statistics, interval_narrows_with_the_root_of_the_sample_count) {
    std::vector<double> few;
    std::vector<double> many;
    for (int i = 0; i < 400; ++i) {
        many.push_back(i);
        if (i % 16 == 0) {
            few.push_back(i);
        }
    }
    const auto width = [](const std::vector<double>& values) {
        const auto [low, high] = median_ci95(values);
        return high - low;
    };
    EXPECT_NEAR(width(few) / width(many), 4, 1.2);  // sqrt(400 / 25)
}

TEST(Statistics, ratio_interval_of_constant_samples_is_their_quotient) {
    const auto [low, high] = mean_ratio_ci95(std::vector(9, 3.0), std::vector(5, 4.0));
    EXPECT_DOUBLE_EQ(low, 0.75);
    EXPECT_DOUBLE_EQ(high, 0.75);
}

TEST(Statistics, ratio_interval_grows_with_the_spread_of_either_side) {
    const std::vector<double> steady(16, 1.0);
    std::vector<double> noisy;
    for (int i = 0; i < 16; ++i) {
        noisy.push_back(i % 2 == 0 ? 0.9 : 1.1);
    }
    for (const auto& [low, high] :
         {mean_ratio_ci95(noisy, steady), mean_ratio_ci95(steady, noisy)}) {
        EXPECT_LT(low, 0.97);
        EXPECT_GT(high, 1.03);
        EXPECT_NEAR(high - low, 2 * 1.96 * 0.1 / 4, 0.02);  // sigma / sqrt(n), both sides
    }
}

TEST(RobustZScore, median_absolute_deviation_sets_the_scale) {
    // Median 3, deviations 2 1 0 1 7: MAD 1.
    const std::vector<double> scores = robust_z_scores(std::vector{1.0, 2.0, 3.0, 4.0, 10.0});
    EXPECT_EQ(scores[2], 0);
    EXPECT_NEAR(scores[4], 7 / 1.4826, 1e-4);
    EXPECT_NEAR(scores[0], -2 / 1.4826, 1e-4);
}

TEST(RobustZScore, one_odd_value_among_equals_is_scored_by_the_mean_deviation) {
    const std::vector<double> scores = robust_z_scores(std::vector{2.0, 2.0, 2.0, 2.0, 7.0});
    EXPECT_EQ(scores[0], 0);
    EXPECT_NEAR(scores[4], 5 / 1.253314, 1e-5);  // mean deviation 1
}

TEST(RobustZScore, equal_values_and_pairs_have_no_odd_one) {
    EXPECT_EQ(robust_z_scores(std::vector(4, 3.0)), std::vector(4, 0.0));
    EXPECT_EQ(robust_z_scores(std::vector{1.0, 100.0}), std::vector(2, 0.0));
    EXPECT_TRUE(robust_z_scores(std::vector<double>{}).empty());
}

TEST(StepSummary, holds_the_order_statistics_and_the_samples) {
    const StepSeconds step = summarize({3, 1, 2, 5, 4});
    EXPECT_EQ(step.median, 3);
    EXPECT_EQ(step.min, 1);
    EXPECT_EQ(step.max, 5);
    EXPECT_EQ(step.mean, 3);
    EXPECT_DOUBLE_EQ(step.p95, 4.8);
    EXPECT_EQ(step.samples, (std::vector<double>{3, 1, 2, 5, 4}));
    EXPECT_THROW((void)summarize({}), ContractError);
}

}  // namespace
}  // namespace traindyno
