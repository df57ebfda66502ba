// SPDX-License-Identifier: Apache-2.0
// Arithmetic of single elements, in fp32, for every device. Each brings its own sigmoid(x) =
// 1 / (1 + e^-x): what is fast differs.
#pragma once

#include <cmath>

#include "emulator/base/host_device.hpp"

namespace traindyno {

inline constexpr float gelu_cubic = 0.044715F;  // Hendrycks and Gimpel, arXiv:1606.08415, section 2
inline constexpr float gelu_scale = 1.59576912F;  // 2 sqrt(2/pi): x/2 (1 + tanh u) = x sigmoid(2u)

/// GELU of x is x * sigmoid(gelu_argument(x)).
[[nodiscard]] TD_HOST_DEVICE float gelu_argument(float x) {
    return gelu_scale * (x + gelu_cubic * x * x * x);
}

/// Slope of GELU in x, where s = sigmoid(gelu_argument(x)).
[[nodiscard]] TD_HOST_DEVICE float gelu_slope(float x, float s) {
    const float inner = gelu_scale * (1.0F + 3.0F * gelu_cubic * x * x);
    return s + x * s * (1.0F - s) * inner;
}

/// Slope of SiLU, x * sigmoid(x), where s = sigmoid(x).
[[nodiscard]] TD_HOST_DEVICE float silu_slope(float x, float s) {
    return s + x * s * (1.0F - s);
}

/// What the gradient is scaled by: clipping its norm to 1.
[[nodiscard]] TD_HOST_DEVICE float clip_factor(float sum_of_squares) {
    const float norm = std::sqrt(sum_of_squares);
    return norm > 1.0F ? 1.0F / norm : 1.0F;
}

inline constexpr float norm_epsilon = 1e-5F;

/// 1 / standard deviation of a row, from the mean square of its distances to its centre.
[[nodiscard]] TD_HOST_DEVICE float inverse_deviation(float mean_square) {
    return 1.0F / std::sqrt(mean_square + norm_epsilon);
}

/// State of one parameter.
struct AdamState {
    float master = 0;
    float m = 0;
    float v = 0;
};

// Brown et al., arXiv:2005.14165, appendix B: beta1 0.9, beta2 0.95, epsilon 1e-8. The rate is far
// below theirs so that random data keeps every value finite for as long as anyone measures. No bias
// correction: it would fold into the rate and change neither traffic nor arithmetic per element.
[[nodiscard]] TD_HOST_DEVICE AdamState adam_update(const AdamState& old, float gradient) {
    constexpr float beta1 = 0.9F;
    constexpr float beta2 = 0.95F;
    constexpr float epsilon = 1e-8F;
    constexpr float rate = 1e-7F;
    const float m = beta1 * old.m + (1.0F - beta1) * gradient;
    const float v = beta2 * old.v + (1.0F - beta2) * gradient * gradient;
    return {old.master - rate * m / (std::sqrt(v) + epsilon), m, v};
}

}  // namespace traindyno
