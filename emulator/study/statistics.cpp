// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

using Generator = std::mt19937;

constexpr double low_share = 0.025;
constexpr double high_share = 0.975;

/// Uniform in [0, size). Not std::uniform_int_distribution, whose results differ between standard
/// libraries.
std::size_t draw(Generator& generator, std::size_t size) {
    return static_cast<std::size_t>((std::uint64_t{generator()} * size) >> 32U);
}

Generator seeded(std::size_t values) {
    return Generator{static_cast<std::uint32_t>(values)};
}

/// Median of `values`, which it reorders.
double median_in_place(std::span<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) {
        return *middle;
    }
    return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

double resampled_mean(std::span<const double> values, Generator& generator) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        sum += values[draw(generator, values.size())];
    }
    return sum / static_cast<double>(values.size());
}

std::array<double, 2> central_95(std::span<const double> estimates) {
    return {percentile(estimates, low_share), percentile(estimates, high_share)};
}

}  // namespace

double mean(std::span<const double> values) {
    if (values.empty()) {
        return 0;
    }
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::span<const double> values) {
    if (values.empty()) {
        return 0;
    }
    std::vector<double> copy(values.begin(), values.end());
    return median_in_place(copy);
}

double percentile(std::span<const double> values, double share) {
    TD_EXPECT(share >= 0 && share <= 1);
    if (values.empty()) {
        return 0;
    }
    std::vector<double> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const double position = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], position - std::floor(position));
}

std::array<double, 2> median_ci95(std::span<const double> values) {
    if (values.empty()) {
        return {};
    }
    Generator generator = seeded(values.size());
    std::vector<double> resample(values.size());
    std::vector<double> medians;
    medians.reserve(bootstrap_resamples);
    for (int i = 0; i < bootstrap_resamples; ++i) {
        for (double& value : resample) {
            value = values[draw(generator, values.size())];
        }
        medians.push_back(median_in_place(resample));
    }
    return central_95(medians);
}

std::array<double, 2> mean_ratio_ci95(std::span<const double> numerator,
                                      std::span<const double> denominator) {
    TD_EXPECT(!numerator.empty() && !denominator.empty());
    Generator generator = seeded(numerator.size() + denominator.size());
    std::vector<double> ratios;
    ratios.reserve(bootstrap_resamples);
    for (int i = 0; i < bootstrap_resamples; ++i) {
        const double above = resampled_mean(numerator, generator);
        ratios.push_back(above / resampled_mean(denominator, generator));
    }
    return central_95(ratios);
}

std::vector<double> robust_z_scores(std::span<const double> values) {
    std::vector<double> scores(values.size(), 0.0);
    if (values.size() < 3) {
        return scores;
    }
    const double centre = median(values);
    std::vector<double> deviations;
    deviations.reserve(values.size());
    for (const double value : values) {
        deviations.push_back(std::abs(value - centre));
    }
    // 1 / Phi^-1(3/4) and sqrt(pi / 2): both estimate sigma of a normal distribution.
    constexpr double mad_to_sigma = 1.482602218505602;
    constexpr double mean_deviation_to_sigma = 1.2533141373155003;
    const double mad = median(deviations);
    const double sigma = mad > 0 ? mad_to_sigma * mad : mean_deviation_to_sigma * mean(deviations);
    if (sigma > 0) {
        std::transform(values.begin(), values.end(), scores.begin(), [&](double value) {
            return (value - centre) / sigma;
        });
    }
    return scores;
}

StepSeconds summarize(std::vector<double> samples) {
    TD_EXPECT(!samples.empty());
    const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
    StepSeconds step{.median = median(samples),
                     .ci95 = median_ci95(samples),
                     .min = *least,
                     .p95 = percentile(samples, 0.95),
                     .max = *most,
                     .mean = mean(samples),
                     .samples = {}};
    step.samples = std::move(samples);
    return step;
}

}  // namespace traindyno
