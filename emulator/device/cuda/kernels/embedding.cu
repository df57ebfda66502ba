// SPDX-License-Identifier: Apache-2.0
// Gathering embeddings, and scattering their gradients.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/random_values.hpp"

namespace traindyno::cuda {

namespace {

constexpr int row_threads = 256;

template <class T>
struct Gather {
    const T* table;
    const T* positions;  ///< [seq, columns]
    T* to;
    std::int64_t vocab;
    std::int64_t seq;  ///< 0: no positions
    std::int64_t columns;
    std::uint32_t seed;
};

template <class T, int width>
__global__ void __launch_bounds__(row_threads) gather_rows(const Gather<T> op) {
    const std::int64_t row = blockIdx.x;
    const T* from = op.table + token_of(op.seed, row, op.vocab) * op.columns;
    const T* position = op.seq > 0 ? op.positions + row % op.seq * op.columns : nullptr;
    T* to = op.to + row * op.columns;
#pragma unroll 4
    for (std::int64_t column = threadIdx.x * width; column < op.columns;
         column += row_threads * width) {
        auto values = load_shared<width>(from + column);
        if (position != nullptr) {
            const auto other = load_shared<width>(position + column);
            float sums[width];
#pragma unroll
            for (int i = 0; i < width; ++i) {
                sums[i] = values[i] + other[i];
            }
            values = packed<T>(sums);
        }
        store(to + column, values);
    }
}

template <class T, class Gradient>
struct Scatter {
    const T* d;
    Gradient* table;
    Gradient* positions;
    std::int64_t rows;
    std::int64_t vocab;
    std::int64_t period;  ///< rows that a block takes are this far apart: of one position, or all
    std::int64_t columns;
    std::uint32_t seed;
};

/// A block owns a position; tokens meet in the table, so that those additions are atomic.
template <class T, class Gradient, int width>
__global__ void __launch_bounds__(row_threads) scatter_rows(const Scatter<T, Gradient> op) {
    for (std::int64_t column = threadIdx.x * width; column < op.columns;
         column += row_threads * width) {
        float sums[width] = {};
        for (std::int64_t row = blockIdx.x; row < op.rows; row += op.period) {
            const auto d = load_once<width>(op.d + row * op.columns + column);
            Gradient* to = op.table + token_of(op.seed, row, op.vocab) * op.columns + column;
#pragma unroll
            for (int i = 0; i < width; ++i) {
                Gradient rounded;
                put(&rounded, d[i]);
                atomicAdd(to + i, rounded);
                sums[i] += d[i];
            }
        }
        if (op.positions != nullptr) {
            Gradient* to = op.positions + blockIdx.x * op.columns + column;
#pragma unroll
            for (int i = 0; i < width; ++i) {
                put(to + i, to_float(to[i]) + sums[i]);
            }
        }
    }
}

void forward(const Elementwise& op,
             detail::Operands reads,
             const Operand& to,
             const KernelContext& context) {
    const bool positions = reads.size() == 2;
    with_type(to.dtype, [&](auto type) {
        using T = decltype(type);
        const Gather<T> gather{.table = reads[0].as<const T>(),
                               .positions = positions ? reads[1].as<const T>() : nullptr,
                               .to = to.as<T>(),
                               .vocab = reads[0].elements / op.columns,
                               .seq = positions ? reads[1].elements / op.columns : 0,
                               .columns = op.columns,
                               .seed = context.seed};
        const auto run = [&](auto width) {
            gather_rows<T, width()><<<grid_of(op.rows), row_threads, 0, context.stream>>>(gather);
        };
        with_row_width<T>(op.columns, run, reads[0], reads.back(), to);
    });
    check_launch("gather_rows");
}

template <class T, class Gradient>
void scatter(const Elementwise& op,
             const Operand& d,
             detail::Operands writes,
             const KernelContext& context) {
    const bool positions = writes.size() == 2;
    const std::int64_t seq = positions ? writes[1].elements / op.columns : op.rows;
    const std::int64_t period = seq < op.rows ? seq : op.rows;
    const Scatter<T, Gradient> scattered{
        .d = d.as<const T>(),
        .table = writes[0].as<Gradient>(),
        .positions = positions ? writes[1].as<Gradient>() : nullptr,
        .rows = op.rows,
        .vocab = writes[0].elements / op.columns,
        .period = period,
        .columns = op.columns,
        .seed = context.seed};
    const auto run = [&](auto width) {
        scatter_rows<T, Gradient, width()>
            <<<grid_of(period), row_threads, 0, context.stream>>>(scattered);
    };
    with_row_width<T>(op.columns, run, d);
    check_launch("scatter_rows");
}

void backward(const Elementwise& op,
              const Operand& d,
              detail::Operands writes,
              const KernelContext& context) {
    with_type(d.dtype, [&](auto type) {
        using T = decltype(type);
        if (writes[0].dtype == DType::fp32) {
            return scatter<T, float>(op, d, writes, context);
        }
        scatter<T, T>(op, d, writes, context);
    });
}

}  // namespace

namespace detail {

void run_embedding(const Elementwise& op,
                   Operands reads,
                   Operands writes,
                   const KernelContext& context) {
    if (op.kind == ElementwiseKind::embedding_forward) {
        return forward(op, reads, writes[0], context);
    }
    backward(op, reads[0], writes, context);
}

}  // namespace detail

}  // namespace traindyno::cuda
