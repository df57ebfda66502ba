// SPDX-License-Identifier: Apache-2.0
// Kernels whose threads keep their columns and walk down the rows: bias, SwiGLU.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/element_math.hpp"

namespace traindyno::cuda {

namespace {

constexpr int most_threads = 256;

template <class T>
struct BiasAdd {
    const T* x;
    const T* bias;
    T* y;
    std::int64_t rows;
    std::int64_t columns;
};

template <class T, int width>
__global__ void __launch_bounds__(most_threads) add_bias(const BiasAdd<T> op) {
    constexpr int ahead = 4;  // rows loaded before any is stored
    const std::int64_t column = (std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * width;
    if (column >= op.columns) {
        return;
    }
    const auto bias = load_shared<width>(op.bias + column);
    for (std::int64_t first = blockIdx.x; first < op.rows;
         first += std::int64_t{gridDim.x} * ahead) {
        Pack<T, width> x[ahead];
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t row = first + std::int64_t{a} * gridDim.x;
            if (row < op.rows) {
                x[a] = load_once<width>(op.x + row * op.columns + column);
            }
        }
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t row = first + std::int64_t{a} * gridDim.x;
            if (row < op.rows) {
                float y[width];
#pragma unroll
                for (int i = 0; i < width; ++i) {
                    y[i] = x[a][i] + bias[i];
                }
                store(op.y + row * op.columns + column, packed<T>(y));
            }
        }
    }
}

/// x and dx rows are [gate | up], of `columns` each; y and dy rows have `columns`.
template <class T>
struct Swiglu {
    const T* x;
    const T* dy;  ///< backward only
    T* to;        ///< y, or dx
    std::int64_t rows;
    std::int64_t columns;
};

template <class T, int width>
__global__ void __launch_bounds__(most_threads) swiglu_rows(const Swiglu<T> op) {
    const std::int64_t column = (std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * width;
    if (column >= op.columns) {
        return;
    }
#pragma unroll 2
    for (std::int64_t row = blockIdx.x; row < op.rows; row += gridDim.x) {
        const T* from = op.x + row * 2 * op.columns + column;
        const auto gate = load_once<width>(from);
        const auto up = load_once<width>(from + op.columns);
        float y[width];
#pragma unroll
        for (int i = 0; i < width; ++i) {
            const float g = gate[i];
            y[i] = g * sigmoid(g) * up[i];
        }
        store(op.to + row * op.columns + column, packed<T>(y));
    }
}

template <class T, int width>
__global__ void __launch_bounds__(most_threads) swiglu_gradient_rows(const Swiglu<T> op) {
    const std::int64_t column = (std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * width;
    if (column >= op.columns) {
        return;
    }
#pragma unroll 2
    for (std::int64_t row = blockIdx.x; row < op.rows; row += gridDim.x) {
        const T* from = op.x + row * 2 * op.columns + column;
        const auto gate = load_once<width>(from);
        const auto up = load_once<width>(from + op.columns);
        const auto dy = load_once<width>(op.dy + row * op.columns + column);
        float d_gate[width];
        float d_up[width];
#pragma unroll
        for (int i = 0; i < width; ++i) {
            const float g = gate[i];
            const float s = sigmoid(g);
            const float d = dy[i];
            d_up[i] = d * g * s;
            d_gate[i] = d * up[i] * silu_slope(g, s);
        }
        T* to = op.to + row * 2 * op.columns + column;
        store(to, packed<T>(d_gate));
        store(to + op.columns, packed<T>(d_up));
    }
}

template <class Arguments>
using Kernel = void (*)(Arguments);

template <class Arguments>
void walk(Kernel<Arguments> kernel, const Arguments& op, int width, const KernelContext& context) {
    const ColumnWalk shape = column_walk(op.rows, op.columns / width, context.multiprocessors);
    kernel<<<grid_of(shape.row_blocks, shape.column_blocks), shape.threads, 0, context.stream>>>(
        op);
    check_launch("column walk");
}

void run_bias_add(const Elementwise& op,
                  detail::Operands reads,
                  const Operand& y,
                  const KernelContext& context) {
    with_type(y.dtype, [&](auto type) {
        using T = decltype(type);
        const BiasAdd<T> arguments{.x = reads[0].as<const T>(),
                                   .bias = reads[1].as<const T>(),
                                   .y = y.as<T>(),
                                   .rows = op.rows,
                                   .columns = op.columns};
        const auto run = [&](auto width) {
            walk<BiasAdd<T>>(add_bias<T, width()>, arguments, width(), context);
        };
        with_row_width<T>(op.columns, run, reads[0], reads[1], y);
    });
}

void run_swiglu(const Elementwise& op,
                detail::Operands reads,
                const Operand& to,
                const KernelContext& context) {
    const bool forward = op.kind == ElementwiseKind::swiglu_forward;
    const std::int64_t columns = reads[0].elements / op.rows / 2;
    with_type(to.dtype, [&](auto type) {
        using T = decltype(type);
        const Swiglu<T> arguments{.x = reads[0].as<const T>(),
                                  .dy = forward ? nullptr : reads[1].as<const T>(),
                                  .to = to.as<T>(),
                                  .rows = op.rows,
                                  .columns = columns};
        const auto run = [&](auto width) {
            walk<Swiglu<T>>(forward ? swiglu_rows<T, width()> : swiglu_gradient_rows<T, width()>,
                            arguments,
                            width(),
                            context);
        };
        with_row_width<T>(columns, run, reads[0], reads.back(), to);
    });
}

}  // namespace

namespace detail {

void run_column_walks(const Elementwise& op,
                      Operands reads,
                      Operands writes,
                      const KernelContext& context) {
    if (op.kind == ElementwiseKind::bias_add) {
        return run_bias_add(op, reads, writes[0], context);
    }
    run_swiglu(op, reads, writes[0], context);
}

}  // namespace detail

}  // namespace traindyno::cuda
