// SPDX-License-Identifier: Apache-2.0
// Activations in double precision as their papers write them, and slopes by finite differences.
#pragma once

#include <cmath>

namespace traindyno {

inline double sigmoid_of(double x) {
    return 1 / (1 + std::exp(-x));
}

inline double gelu_of(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

inline double silu_of(double x) {
    return x * sigmoid_of(x);
}

inline double slope(double (*f)(double), double x) {
    constexpr double step = 1e-5;
    return (f(x + step) - f(x - step)) / (2 * step);
}

}  // namespace traindyno
