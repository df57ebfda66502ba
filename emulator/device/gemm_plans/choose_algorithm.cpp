// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/choose_algorithm.hpp"

#include <algorithm>
#include <limits>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr int trial_launches = 3;
constexpr std::size_t finalists = 4;
constexpr double hopeless = 1.3;  // times the best trial: no finalist
constexpr int turns = 4;
constexpr int fewest_per_turn = 2;
constexpr int most_per_turn = 25;
constexpr double resolution = 1.005;

struct Contender {
    std::size_t algorithm = 0;
    double trial = 0;
    std::vector<double> samples;
};

/// The finalists, in the order of the algorithms.
std::vector<Contender> trials(std::size_t algorithms, const TimeLaunches& time) {
    std::vector<Contender> ran;
    for (std::size_t algorithm = 0; algorithm < algorithms; ++algorithm) {
        const std::vector<double> samples = time(algorithm, trial_launches);
        if (!samples.empty()) {
            ran.push_back({.algorithm = algorithm, .trial = median(samples), .samples = {}});
        }
    }
    std::stable_sort(ran.begin(), ran.end(), [](const Contender& a, const Contender& b) {
        return a.trial < b.trial;
    });
    ran.resize(std::min(ran.size(), finalists));
    std::erase_if(ran, [best = ran.empty() ? 0.0 : ran.front().trial](const Contender& c) {
        return c.trial > best * hopeless;
    });
    std::sort(ran.begin(), ran.end(), [](const Contender& a, const Contender& b) {
        return a.algorithm < b.algorithm;
    });
    return ran;
}

int launches_per_turn(const std::vector<Contender>& contenders, double budget_us) {
    double round = 0;
    for (const Contender& contender : contenders) {
        round += contender.trial;
    }
    const double fitting = round > 0 ? budget_us / (round * turns) : most_per_turn;
    return static_cast<int>(std::clamp<double>(fitting, fewest_per_turn, most_per_turn));
}

}  // namespace

double median(std::vector<double> values) {
    TD_EXPECT(!values.empty());
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

std::optional<Choice> choose_algorithm(std::size_t algorithms,
                                       double budget_us,
                                       const TimeLaunches& time) {
    std::vector<Contender> contenders = trials(algorithms, time);
    if (contenders.empty()) {
        return std::nullopt;
    }
    const int launches = launches_per_turn(contenders, budget_us);
    for (int turn = 0; turn < turns; ++turn) {
        for (Contender& contender : contenders) {
            const std::vector<double> samples = time(contender.algorithm, launches);
            contender.samples.insert(contender.samples.end(), samples.begin(), samples.end());
        }
    }
    double best = std::numeric_limits<double>::infinity();
    std::vector<Choice> finals;
    for (const Contender& contender : contenders) {
        finals.push_back({contender.algorithm, median(contender.samples)});
        best = std::min(best, finals.back().microseconds);
    }
    return *std::find_if(finals.begin(), finals.end(), [best](const Choice& choice) {
        return choice.microseconds <= best * resolution;
    });
}

}  // namespace traindyno
