// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/element_math.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno::detail {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us

struct RowStatistics {
    float mean = 0;
    float inverse_deviation = 0;
};

/// Layer norm subtracts the mean, RMS norm does not.
enum class Center : std::uint8_t { no, yes };

template <class T>
[[gnu::always_inline]] inline RowStatistics statistics_of(const T* x,
                                                          std::int64_t n,
                                                          Center center) {
    float mean = 0;
    if (center == Center::yes) {
#pragma omp simd reduction(+ : mean)
        for (std::int64_t c = 0; c < n; ++c) {
            mean += load(x[c]);
        }
        mean /= static_cast<float>(n);
    }
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < n; ++c) {
        const float d = load(x[c]) - mean;
        squares += d * d;
    }
    return {mean, inverse_deviation(squares / static_cast<float>(n))};
}

template <class T>
TD_CLONES void layer_norm(
    const T* x, const T* scale, const T* shift, T* y, std::int64_t rows, std::int64_t n) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = x + row * n;
        T* to = y + row * n;
        const RowStatistics s = statistics_of(from, n, Center::yes);
#pragma omp simd
        for (std::int64_t c = 0; c < n; ++c) {
            store(to[c],
                  (load(from[c]) - s.mean) * s.inverse_deviation * load(scale[c]) + load(shift[c]));
        }
    }
}

template <class T>
TD_CLONES void rms_norm(const T* x, const T* scale, T* y, std::int64_t rows, std::int64_t n) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = x + row * n;
        T* to = y + row * n;
        const RowStatistics s = statistics_of(from, n, Center::no);
#pragma omp simd
        for (std::int64_t c = 0; c < n; ++c) {
            store(to[c], load(from[c]) * s.inverse_deviation * load(scale[c]));
        }
    }
}

template <class T>
struct NormGradient {
    const T* x;
    const T* dy;
    const T* scale;
    T* dx;
    float* d_scale;  ///< this thread's sums over rows
    float* d_shift;
    std::int64_t columns;
    Center center;
};

template <class T>
TD_CLONES void norm_gradient(const NormGradient<T>& g, std::int64_t begin, std::int64_t end) {
    const std::int64_t n = g.columns;
    const T* scale = g.scale;
    for (std::int64_t row = begin; row < end; ++row) {
        const T* x = g.x + row * n;
        const T* dy = g.dy + row * n;
        T* dx = g.dx + row * n;
        float* d_scale = g.d_scale;
        float* d_shift = g.d_shift;
        const RowStatistics s = statistics_of(x, n, g.center);
        float sum = 0;        // of dy * scale
        float projected = 0;  // of dy * scale * x_hat
#pragma omp simd reduction(+ : sum, projected)
        for (std::int64_t c = 0; c < n; ++c) {
            const float x_hat = (load(x[c]) - s.mean) * s.inverse_deviation;
            const float d = load(dy[c]);
            const float scaled = d * load(scale[c]);
            sum += scaled;
            projected += scaled * x_hat;
            d_scale[c] += d * x_hat;
            d_shift[c] += d;
        }
        const float mean = g.center == Center::yes ? sum / static_cast<float>(n) : 0.0F;
        const float along = projected / static_cast<float>(n);
#pragma omp simd
        for (std::int64_t c = 0; c < n; ++c) {
            const float x_hat = (load(x[c]) - s.mean) * s.inverse_deviation;
            store(dx[c],
                  s.inverse_deviation * (load(dy[c]) * load(scale[c]) - mean - x_hat * along));
        }
    }
}

template <class T, class Sum>
TD_CLONES void add_rows(const T* dy, Sum* sums, std::int64_t rows, std::int64_t n) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = dy + row * n;
#pragma omp simd
        for (std::int64_t c = 0; c < n; ++c) {
            store(sums[c], load(sums[c]) + load(from[c]));
        }
    }
}

/// logits <- (softmax(logits) - one_hot(target)) * weight; returns the row's loss.
template <class T>
TD_CLONES float cross_entropy_row(T* logits, std::int64_t n, std::int64_t target, float weight) {
    float largest = load(logits[0]);
#pragma omp simd reduction(max : largest)
    for (std::int64_t c = 0; c < n; ++c) {
        const float v = load(logits[c]);
        largest = v > largest ? v : largest;
    }
    const float at_target = load(logits[target]);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < n; ++c) {
        const float e = fast_exp(load(logits[c]) - largest);
        store(logits[c], e);
        sum += e;
    }
    const float factor = weight / sum;
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(logits[c], load(logits[c]) * factor);
    }
    store(logits[target], load(logits[target]) - weight);
    return std::log(sum) + largest - at_target;
}

/// Adds every thread's sums, `stride` apart, to `out`.
void add_partials(const Team& team,
                  std::span<const float> partial,
                  std::int64_t stride,
                  const Operand& out) {
    for (int thread = 0; thread < team.threads(); ++thread) {
        const float* sums = partial.data() + thread * stride;
        if (out.dtype == DType::bf16) {
            add_rows(sums, out.as<Bf16>(), 1, out.elements);
        } else {
            add_rows(sums, out.as<float>(), 1, out.elements);
        }
    }
}

/// The weights of a layer norm are its scale followed by its shift; of an RMS norm the scale alone.
Center center_of(const Elementwise& op, const Operand& weights) {
    return weights.elements == 2 * op.columns ? Center::yes : Center::no;
}

template <class T>
void run_norm_forward(const Elementwise& op,
                      std::span<const Operand> reads,
                      const Operand& y,
                      const Team& team) {
    const std::int64_t n = op.columns;
    const T* scale = reads[1].as<const T>();
    const Center center = center_of(op, reads[1]);
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        const T* x = reads[0].as<const T>() + begin * n;
        T* to = y.as<T>() + begin * n;
        if (center == Center::yes) {
            layer_norm(x, scale, scale + n, to, end - begin, n);
        } else {
            rms_norm(x, scale, to, end - begin, n);
        }
    };
    team.for_ranges(op.rows, 1, serial_below / n, run);
}

template <class T>
void run_norm_backward(const Elementwise& op,
                       std::span<const Operand> reads,
                       std::span<const Operand> writes,
                       const KernelContext& context) {
    const std::int64_t n = op.columns;
    const std::int64_t per_thread = 2 * n;  // sums for scale and shift
    std::fill_n(context.scratch.begin(), context.team->threads() * per_thread, 0.0F);
    const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
        float* sums = context.scratch.data() + thread * per_thread;
        const NormGradient<T> gradient{.x = reads[0].as<const T>(),
                                       .dy = reads[1].as<const T>(),
                                       .scale = reads[2].as<const T>(),
                                       .dx = writes[0].as<T>(),
                                       .d_scale = sums,
                                       .d_shift = sums + n,
                                       .columns = n,
                                       .center = center_of(op, reads[2])};
        norm_gradient(gradient, begin, end);
    };
    context.team->for_ranges(op.rows, 1, serial_below / n, run);
    add_partials(*context.team, context.scratch, per_thread, writes[1]);
}

template <class T>
void run_bias_gradient(const Elementwise& op,
                       const Operand& dy,
                       const Operand& bias,
                       const KernelContext& context) {
    const std::int64_t n = op.columns;
    std::fill_n(context.scratch.begin(), context.team->threads() * n, 0.0F);
    const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
        add_rows(dy.as<const T>() + begin * n, context.scratch.data() + thread * n, end - begin, n);
    };
    context.team->for_ranges(op.rows, 1, serial_below / n, run);
    add_partials(*context.team, context.scratch, n, bias);
}

template <class T>
void run_cross_entropy(const Elementwise& op,
                       const Operand& logits,
                       const Operand& loss,
                       const KernelContext& context) {
    const std::int64_t n = op.columns;
    const float weight = 1.0F / static_cast<float>(op.rows);
    std::vector<double> losses(static_cast<std::size_t>(context.team->threads()));
    const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
        double sum = 0;
        for (std::int64_t row = begin; row < end; ++row) {
            const std::int64_t target = target_of(context.seed, row, n);
            sum +=
                static_cast<double>(cross_entropy_row(logits.as<T>() + row * n, n, target, weight));
        }
        losses[static_cast<std::size_t>(thread)] = sum;
    };
    context.team->for_ranges(op.rows, 1, serial_below / n, run);
    double total = 0;
    for (const double sum : losses) {
        total += sum;
    }
    *loss.as<float>() = static_cast<float>(total / static_cast<double>(op.rows));
}

template <class T>
void run_typed(const Elementwise& op,
               std::span<const Operand> reads,
               std::span<const Operand> writes,
               const KernelContext& context) {
    switch (op.kind) {
        case ElementwiseKind::norm_forward:
            return run_norm_forward<T>(op, reads, writes[0], *context.team);
        case ElementwiseKind::norm_backward:
            return run_norm_backward<T>(op, reads, writes, context);
        case ElementwiseKind::bias_gradient:
            return run_bias_gradient<T>(op, reads[0], writes[0], context);
        case ElementwiseKind::cross_entropy:
            return run_cross_entropy<T>(op, writes[0], writes[1], context);
        default:
            TD_EXPECT(!"a row-wise kind");
    }
}

}  // namespace

void run_rowwise(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context) {
    const auto run = reads[0].dtype == DType::bf16 ? run_typed<Bf16> : run_typed<float>;
    run(op, reads, writes, context);
}

}  // namespace traindyno::detail
