// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/choose_algorithm.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

constexpr double endless = 1e12;  // microseconds

/// Algorithms of known speed; counts the launches of each.
class Bench {
  public:
    explicit Bench(std::vector<double> microseconds) : microseconds_(std::move(microseconds)) {}

    [[nodiscard]] TimeLaunches timer() {
        return [this](std::size_t algorithm, int launches) {
            launches_[algorithm] += launches;
            const double time = microseconds_.at(algorithm);
            return time > 0 ? std::vector<double>(static_cast<std::size_t>(launches), time)
                            : std::vector<double>{};
        };
    }

    [[nodiscard]] std::size_t size() const { return microseconds_.size(); }

    [[nodiscard]] int launches(std::size_t algorithm) const { return launches_.at(algorithm); }

    [[nodiscard]] double total() const {
        return std::accumulate(
            launches_.begin(), launches_.end(), 0.0, [this](double sum, const auto& entry) {
                return sum + entry.second * microseconds_.at(entry.first);
            });
    }

  private:
    std::vector<double> microseconds_;
    std::map<std::size_t, int> launches_;
};

TEST(ChooseAlgorithm, takes_the_fastest) {
    Bench bench({50, 40, 30, 20, 30, 40});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer()), (Choice{3, 20}));
}

TEST(ChooseAlgorithm, launches_each_finalist_at_least_20_times_when_there_is_time) {
    Bench bench({100, 99, 101, 98, 97, 200});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer())->algorithm, 4U);
    for (const std::size_t finalist : {0U, 1U, 3U, 4U}) {
        EXPECT_GE(bench.launches(finalist), 20);
    }
    EXPECT_LT(bench.launches(2), 20) << "four are finalists";
    EXPECT_LT(bench.launches(5), 20);
}

TEST(ChooseAlgorithm, spends_no_finals_on_what_is_much_slower) {
    Bench bench({100, 131, 129});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer())->algorithm, 0U);
    EXPECT_LT(bench.launches(1), bench.launches(2));
}

TEST(ChooseAlgorithm, keeps_to_its_budget) {
    Bench bench(std::vector<double>(16, 1000));
    constexpr double budget = 80'000;
    (void)choose_algorithm(bench.size(), budget, bench.timer());
    EXPECT_LE(bench.total(), 16 * 3 * 1000.0 + budget);
    EXPECT_GE(bench.launches(0), 3 + 20);
}

TEST(ChooseAlgorithm, launches_a_little_even_without_time) {
    Bench bench({1000, 900});
    EXPECT_EQ(choose_algorithm(bench.size(), 0, bench.timer())->algorithm, 1U);
    EXPECT_EQ(bench.launches(1), 3 + 8);
}

TEST(ChooseAlgorithm, prefers_the_first_of_those_that_timing_cannot_tell_apart) {
    Bench bench({100.4, 110, 100.0});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer()), (Choice{0, 100.4}));
}

TEST(ChooseAlgorithm, leaves_out_what_does_not_run) {
    Bench bench({-1, 30, -1, 20});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer()), (Choice{3, 20}));
}

TEST(ChooseAlgorithm, takes_nothing_when_nothing_runs) {
    Bench bench({-1, -1});
    EXPECT_EQ(choose_algorithm(bench.size(), endless, bench.timer()), std::nullopt);
    EXPECT_EQ(choose_algorithm(0, endless, bench.timer()), std::nullopt);
}

TEST(ChooseAlgorithm, is_not_misled_by_one_slow_launch) {
    bool disturbed = false;
    const TimeLaunches time = [&](std::size_t algorithm, int launches) {
        std::vector<double> samples(static_cast<std::size_t>(launches), algorithm == 1 ? 90 : 100);
        if (algorithm == 1 && !disturbed) {
            samples.front() = 10'000;
            disturbed = true;
        }
        return samples;
    };
    EXPECT_EQ(choose_algorithm(2, endless, time), (Choice{1, 90}));
}

TEST(ChooseAlgorithm, takes_turns_so_that_a_slowing_clock_meets_all) {
    // Every launch makes the next one 0.05 % slower; algorithm 1 is 3 % faster at any one moment.
    double clock = 1;
    const TimeLaunches time = [&](std::size_t algorithm, int launches) {
        std::vector<double> samples;
        for (int i = 0; i < launches; ++i) {
            samples.push_back((algorithm == 1 ? 97 : 100) * clock);
            clock *= 1.0005;
        }
        return samples;
    };
    EXPECT_EQ(choose_algorithm(2, endless, time)->algorithm, 1U);
}

TEST(Median, is_the_middle_value) {
    EXPECT_EQ(median({3, 1, 2}), 2);
    EXPECT_EQ(median({4, 1, 3, 2}), 3);
    EXPECT_EQ(median({5}), 5);
}

}  // namespace
}  // namespace traindyno
