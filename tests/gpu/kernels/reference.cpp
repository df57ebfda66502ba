// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/kernels/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace traindyno::reference {

namespace {

constexpr double epsilon = 1e-5;

struct Row {
    double mean = 0;
    double inverse = 0;
};

Row statistics_of(const double* x, std::size_t n, bool centered) {
    const double count = static_cast<double>(n);
    Row row;
    for (std::size_t c = 0; c < n && centered; ++c) {
        row.mean += x[c] / count;
    }
    double squares = 0;
    for (std::size_t c = 0; c < n; ++c) {
        squares += (x[c] - row.mean) * (x[c] - row.mean);
    }
    row.inverse = 1 / std::sqrt(squares / count + epsilon);
    return row;
}

}  // namespace

double gelu(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

double gelu_slope(double x) {
    const double t = std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    const double inner = std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner;
}

double silu(double x) {
    return x / (1 + std::exp(-x));
}

double silu_slope(double x) {
    const double s = 1 / (1 + std::exp(-x));
    return s + x * s * (1 - s);
}

Values norm(const Values& x, const Values& weights, std::int64_t columns) {
    const auto n = static_cast<std::size_t>(columns);
    const bool centered = weights.size() == 2 * n;
    Values y(x.size());
    for (std::size_t at = 0; at < x.size(); at += n) {
        const Row row = statistics_of(x.data() + at, n, centered);
        for (std::size_t c = 0; c < n; ++c) {
            y[at + c] =
                (x[at + c] - row.mean) * row.inverse * weights[c] + (centered ? weights[n + c] : 0);
        }
    }
    return y;
}

NormGradient norm_gradient(const Values& x,
                           const Values& dy,
                           const Values& weights,
                           std::int64_t columns) {
    const auto n = static_cast<std::size_t>(columns);
    const double count = static_cast<double>(columns);
    const bool centered = weights.size() == 2 * n;
    NormGradient result{.x = Values(x.size()), .weights = Values(weights.size())};
    for (std::size_t at = 0; at < x.size(); at += n) {
        const Row row = statistics_of(x.data() + at, n, centered);
        const auto x_hat = [&](std::size_t c) { return (x[at + c] - row.mean) * row.inverse; };
        double mean = 0;
        double along = 0;
        for (std::size_t c = 0; c < n; ++c) {
            mean += centered ? dy[at + c] * weights[c] / count : 0;
            along += dy[at + c] * weights[c] * x_hat(c) / count;
            result.weights[c] += dy[at + c] * x_hat(c);
            if (centered) {
                result.weights[n + c] += dy[at + c];
            }
        }
        for (std::size_t c = 0; c < n; ++c) {
            result.x[at + c] = row.inverse * (dy[at + c] * weights[c] - mean - x_hat(c) * along);
        }
    }
    return result;
}

Values rotary(const Values& x, std::int64_t columns, std::int64_t rotated, double direction) {
    constexpr std::size_t half = 32;
    const auto n = static_cast<std::size_t>(columns);
    Values y = x;
    for (std::size_t at = 0; at < x.size(); at += n) {
        for (std::size_t block = 0; block + 2 * half <= static_cast<std::size_t>(rotated);
             block += 2 * half) {
            for (std::size_t i = 0; i < half; ++i) {
                const double angle = direction * static_cast<double>(at / n) *
                                     std::pow(10000.0, -static_cast<double>(i) / half);
                const std::size_t low = at + block + i;
                const std::size_t high = low + half;
                y[low] = x[low] * std::cos(angle) - x[high] * std::sin(angle);
                y[high] = x[low] * std::sin(angle) + x[high] * std::cos(angle);
            }
        }
    }
    return y;
}

CrossEntropy cross_entropy(const Values& logits,
                           std::int64_t columns,
                           const std::vector<std::int64_t>& targets) {
    const auto n = static_cast<std::size_t>(columns);
    const double rows = static_cast<double>(targets.size());
    CrossEntropy result{.gradient = Values(logits.size())};
    for (std::size_t row = 0; row < targets.size(); ++row) {
        const double* x = logits.data() + row * n;
        const double largest = *std::max_element(x, x + n);
        double sum = 0;
        for (std::size_t c = 0; c < n; ++c) {
            sum += std::exp(x[c] - largest);
        }
        const auto target = static_cast<std::size_t>(targets[row]);
        for (std::size_t c = 0; c < n; ++c) {
            result.gradient[row * n + c] =
                (std::exp(x[c] - largest) / sum - (c == target ? 1 : 0)) / rows;
        }
        result.loss += (std::log(sum) + largest - x[target]) / rows;
    }
    return result;
}

}  // namespace traindyno::reference
