// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/sampling.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

/// Steps until the warm-up stops warming, or `most`.
std::int64_t warm_up_steps(WarmUp& warm_up, auto step_time, std::int64_t most) {
    for (std::int64_t step = 0; step < most && warm_up.state() == WarmUp::State::warming; ++step) {
        warm_up.add(step_time(step));
    }
    return warm_up.steps();
}

TEST(WarmUp, steady_steps_end_it_after_two_windows) {
    WarmUp warm_up({.window = 4});
    EXPECT_EQ(warm_up_steps(
                  warm_up, [](auto) { return 0.5; }, 100),
              8);
    EXPECT_EQ(warm_up.state(), WarmUp::State::steady);
}

TEST(WarmUp, decaying_steps_end_it_once_the_decay_is_within_tolerance) {
    // t(i) = 1 + 2^-i: windows of 3 differ by 7/8 of the earlier median's excess over 1.
    WarmUp warm_up({.window = 3, .tolerance = 0.02});
    const auto decaying = [](std::int64_t i) { return 1 + std::pow(0.5, i); };
    // After n steps the medians are t(n-5) and t(n-2); 2^-(n-5) * 7/8 <= 0.02 (1 + 2^-(n-5))
    // first holds for n = 11.
    EXPECT_EQ(warm_up_steps(warm_up, decaying, 100), 11);
    EXPECT_EQ(warm_up.state(), WarmUp::State::steady);
}

TEST(WarmUp, one_slow_first_step_does_not_prolong_it) {
    WarmUp warm_up({.window = 3});
    EXPECT_EQ(warm_up_steps(
                  warm_up, [](auto i) { return i == 0 ? 30.0 : 1.0; }, 100),
              6);
}

TEST(WarmUp, growing_steps_hit_the_step_limit) {
    WarmUp warm_up({.window = 2, .at_most = 9});
    EXPECT_EQ(warm_up_steps(
                  warm_up, [](auto i) { return std::pow(1.5, i); }, 100),
              9);
    EXPECT_EQ(warm_up.state(), WarmUp::State::gave_up);
}

TEST(WarmUp, long_steps_hit_the_time_limit_but_not_before_the_minimum) {
    WarmUp warm_up({.window = 3, .at_least = 2, .max_seconds = 5});
    EXPECT_EQ(warm_up_steps(
                  warm_up, [](auto) { return 60.0; }, 100),
              2);
    EXPECT_EQ(warm_up.state(), WarmUp::State::gave_up);
}

TEST(WarmUp, a_minimum_holds_however_steady_the_steps) {
    WarmUp warm_up({.window = 1, .at_least = 20, .at_most = 20});
    EXPECT_EQ(warm_up_steps(
                  warm_up, [](auto) { return 1.0; }, 100),
              20);
    EXPECT_EQ(warm_up.state(), WarmUp::State::steady);
}

TEST(WarmUp, limits_that_contradict_are_refused) {
    EXPECT_THROW(WarmUp({.at_least = 3, .at_most = 2}), ContractError);
}

std::size_t measure(StoppingRule& rule, auto step_time) {
    while (!rule.verdict() && rule.samples().size() < 100'000) {
        rule.add(step_time(static_cast<std::int64_t>(rule.samples().size())));
    }
    return rule.samples().size();
}

double alternating(std::int64_t step, double spread) {
    return 1 + (step % 2 == 0 ? spread : -spread);
}

TEST(StoppingRule, steady_steps_converge_at_the_minimum) {
    StoppingRule rule({.min_steps = 6});
    EXPECT_EQ(measure(rule, [](auto) { return 0.1; }), 6U);
    EXPECT_EQ(rule.verdict(), Verdict::converged);
}

TEST(StoppingRule, spread_within_the_interval_converges_and_wider_spread_runs_out_of_time) {
    StoppingRule narrow({.ci = 0.01, .max_seconds = 50});
    measure(narrow, [](auto i) { return alternating(i, 0.009); });
    EXPECT_EQ(narrow.verdict(), Verdict::converged);

    StoppingRule wide({.ci = 0.01, .max_seconds = 50});
    const std::size_t steps = measure(wide, [](auto i) { return alternating(i, 0.2); });
    EXPECT_EQ(wide.verdict(), Verdict::not_enough_samples);
    EXPECT_GE(steps, 50U);
    EXPECT_LE(steps, 51U);
}

TEST(StoppingRule, fewer_than_the_minimum_is_not_enough_even_when_they_agree) {
    StoppingRule rule({.max_seconds = 3, .min_steps = 6});
    EXPECT_EQ(measure(rule, [](auto) { return 1.0; }), 3U);
    EXPECT_EQ(rule.verdict(), Verdict::not_enough_samples);
}

TEST(StoppingRule, a_last_look_is_taken_when_time_runs_out) {
    StoppingRule rule({.max_seconds = 6, .min_steps = 6});
    EXPECT_EQ(measure(rule, [](auto) { return 1.0; }), 6U);
    EXPECT_EQ(rule.verdict(), Verdict::converged);
}

TEST(StoppingRule, fixed_steps_ignore_interval_and_time) {
    StoppingRule rule({.max_seconds = 1, .fixed_steps = 4});
    EXPECT_EQ(measure(rule, [](auto i) { return 10.0 + 5.0 * static_cast<double>(i); }), 4U);
    EXPECT_EQ(rule.verdict(), Verdict::fixed_steps);
}

TEST(StoppingRule, equal_times_lead_to_equal_decisions) {
    const auto noisy = [](std::int64_t i) {
        return 1 + 0.03 * std::sin(12.9898 * static_cast<double>(i));
    };
    StoppingRule a({});
    StoppingRule b({});
    EXPECT_EQ(measure(a, noisy), measure(b, noisy));
    EXPECT_EQ(a.verdict(), b.verdict());
}

}  // namespace
}  // namespace traindyno
