// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/element_math.hpp"

namespace traindyno::detail {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us
constexpr std::int64_t line = 64;             // elements: threads never share a cache line

template <class T>
TD_CLONES void bias_add(const T* x, const T* bias, T* y, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* from = x + row * columns;
        T* to = y + row * columns;
#pragma omp simd
        for (std::int64_t c = 0; c < columns; ++c) {
            store(to[c], load(from[c]) + load(bias[c]));
        }
    }
}

template <class T>
TD_CLONES void gelu(const T* x, T* y, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        const float v = load(x[i]);
        store(y[i], v * sigmoid(gelu_argument(v)));
    }
}

template <class T>
TD_CLONES void gelu_gradient(const T* x, const T* dy, T* dx, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        const float v = load(x[i]);
        store(dx[i], load(dy[i]) * gelu_slope(v, sigmoid(gelu_argument(v))));
    }
}

// x rows are [gate | up], f columns each.
template <class T>
TD_CLONES void swiglu(const T* x, T* y, std::int64_t rows, std::int64_t f) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* gate = x + row * 2 * f;
        const T* up = gate + f;
        T* to = y + row * f;
#pragma omp simd
        for (std::int64_t c = 0; c < f; ++c) {
            const float g = load(gate[c]);
            store(to[c], g * sigmoid(g) * load(up[c]));
        }
    }
}

template <class T>
TD_CLONES void swiglu_gradient(const T* x, const T* dy, T* dx, std::int64_t rows, std::int64_t f) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* gate = x + row * 2 * f;
        const T* up = gate + f;
        const T* from = dy + row * f;
        T* d_gate = dx + row * 2 * f;
        T* d_up = d_gate + f;
#pragma omp simd
        for (std::int64_t c = 0; c < f; ++c) {
            const float g = load(gate[c]);
            const float s = sigmoid(g);
            const float d = load(from[c]);
            const float u = load(up[c]);
            store(d_up[c], d * g * s);
            store(d_gate[c], d * u * silu_slope(g, s));
        }
    }
}

template <class T>
TD_CLONES void add(const T* x, const T* y, T* z, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        store(z[i], load(x[i]) + load(y[i]));
    }
}

template <class T>
TD_CLONES void multiply(T* x, float factor, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        store(x[i], load(x[i]) * factor);
    }
}

template <class T>
TD_CLONES float sum_of_squares(const T* x, std::int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) {
        sum += load(x[i]) * load(x[i]);
    }
    return sum;
}

// The op carries no head size, so frequencies repeat every 64 columns: element i of a block is
// rotated with element i + 32 by the angle row * 10000^(-i/32) (Su et al., arXiv:2104.09864).
constexpr std::int64_t rotary_half = 32;

template <class T>
TD_CLONES void rotate(T* x, const float* cosine, const float* sine, std::int64_t columns) {
    for (std::int64_t block = 0; block + 2 * rotary_half <= columns; block += 2 * rotary_half) {
        T* low = x + block;
        T* high = low + rotary_half;
#pragma omp simd
        for (std::int64_t i = 0; i < rotary_half; ++i) {
            const float a = load(low[i]);
            const float b = load(high[i]);
            store(low[i], a * cosine[i] - b * sine[i]);
            store(high[i], a * sine[i] + b * cosine[i]);
        }
    }
}

/// Turns every row by its angle; direction -1 is the inverse, which is also the gradient.
template <class T>
void rotary(const Elementwise& op,
            const Operand& x,
            float direction,
            const KernelContext& context) {
    const std::int64_t stride = x.elements / op.rows;  // a row may hold values beyond the rotated
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        std::array<float, rotary_half> cosine{};
        std::array<float, rotary_half> sine{};
        std::array<float, rotary_half> step_cosine{};
        std::array<float, rotary_half> step_sine{};
        for (std::size_t i = 0; i < rotary_half; ++i) {
            const double frequency =
                std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(rotary_half));
            const double angle = frequency * static_cast<double>(begin);
            cosine[i] = static_cast<float>(std::cos(angle));
            sine[i] = static_cast<float>(direction * std::sin(angle));
            step_cosine[i] = static_cast<float>(std::cos(frequency));
            step_sine[i] = static_cast<float>(direction * std::sin(frequency));
        }
        for (std::int64_t row = begin; row < end; ++row) {
            rotate(x.as<T>() + row * stride, cosine.data(), sine.data(), op.columns);
            for (std::size_t i = 0; i < rotary_half; ++i) {  // the next row's angles
                const float c = cosine[i] * step_cosine[i] - sine[i] * step_sine[i];
                sine[i] = sine[i] * step_cosine[i] + cosine[i] * step_sine[i];
                cosine[i] = c;
            }
        }
    };
    context.team->for_ranges(op.rows, 1, serial_below / op.columns, run);
}

/// Kinds whose kernels need whole rows.
template <class T>
void run_rows(const Elementwise& op,
              std::span<const Operand> reads,
              const Operand& write,
              const KernelContext& context) {
    const T* x = reads[0].as<const T>();
    T* to = write.as<T>();
    const auto rows = [&](const auto& body) {
        context.team->for_ranges(op.rows, 1, serial_below / op.columns, body);
    };
    switch (op.kind) {
        case ElementwiseKind::bias_add:
            return rows([&, n = op.columns](std::int64_t b, std::int64_t e, int) {
                bias_add(x + b * n, reads[1].as<const T>(), to + b * n, e - b, n);
            });
        case ElementwiseKind::swiglu_forward:
            return rows([&, f = write.elements / op.rows](std::int64_t b, std::int64_t e, int) {
                swiglu(x + b * 2 * f, to + b * f, e - b, f);
            });
        case ElementwiseKind::swiglu_backward:
            return rows([&, f = reads[1].elements / op.rows](std::int64_t b, std::int64_t e, int) {
                const T* dy = reads[1].as<const T>();
                swiglu_gradient(x + b * 2 * f, dy + b * f, to + b * 2 * f, e - b, f);
            });
        case ElementwiseKind::rotary_forward:
            return rotary<T>(op, write, 1.0F, context);
        case ElementwiseKind::rotary_backward:
            return rotary<T>(op, write, -1.0F, context);
        default:
            TD_EXPECT(!"a kind of rows");
    }
}

/// Kinds that treat every element alike; the others go to run_rows.
template <class T>
void run_typed(const Elementwise& op,
               std::span<const Operand> reads,
               const Operand& write,
               const KernelContext& context) {
    const T* x = reads[0].as<const T>();
    T* to = write.as<T>();
    const auto elements = [&](const auto& body) {
        context.team->for_ranges(write.elements, line, serial_below, body);
    };
    switch (op.kind) {
        case ElementwiseKind::gelu_forward:
            return elements(
                [&](std::int64_t b, std::int64_t e, int) { gelu(x + b, to + b, e - b); });
        case ElementwiseKind::gelu_backward:
            return elements([&](std::int64_t b, std::int64_t e, int) {
                gelu_gradient(x + b, reads[1].as<const T>() + b, to + b, e - b);
            });
        case ElementwiseKind::residual_add:
        case ElementwiseKind::gradient_add:
            return elements([&](std::int64_t b, std::int64_t e, int) {
                add(x + b, reads[1].as<const T>() + b, to + b, e - b);
            });
        case ElementwiseKind::scale: {
            const float factor = clip_factor(*reads[1].as<const float>());
            return elements(
                [&](std::int64_t b, std::int64_t e, int) { multiply(to + b, factor, e - b); });
        }
        default:
            return run_rows<T>(op, reads, write, context);
    }
}

template <class T>
void run_sum_of_squares(const Operand& x, float before, float* out, const Team& team) {
    constexpr std::int64_t block = std::int64_t{1} << 12;  // fp32 inside, double across blocks
    std::vector<double> sums(static_cast<std::size_t>(team.threads()));
    const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
        double sum = 0;
        for (std::int64_t at = begin; at < end; at += block) {
            sum += static_cast<double>(
                sum_of_squares(x.as<const T>() + at, std::min(block, end - at)));
        }
        sums[static_cast<std::size_t>(thread)] = sum;
    };
    team.for_ranges(x.elements, line, serial_below, run);
    auto total = static_cast<double>(before);
    for (const double sum : sums) {
        total += sum;
    }
    *out = static_cast<float>(total);
}

}  // namespace

void run_pointwise(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context) {
    if (op.kind == ElementwiseKind::zero) {
        return fill_zero(*context.team, writes[0]);
    }
    if (op.kind == ElementwiseKind::copy) {
        return copy(*context.team, reads[0], writes[0]);
    }
    const bool bf16 = reads[0].dtype == DType::bf16;
    if (op.kind == ElementwiseKind::sum_of_squares) {
        const auto run = bf16 ? run_sum_of_squares<Bf16> : run_sum_of_squares<float>;
        const float before = reads.size() == 2 ? *reads[1].as<const float>() : 0.0F;
        return run(reads[0], before, writes[0].as<float>(), *context.team);
    }
    const auto run = bf16 ? run_typed<Bf16> : run_typed<float>;
    run(op, reads, writes[0], context);
}

}  // namespace traindyno::detail
