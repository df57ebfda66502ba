// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno::detail {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us

template <class T>
TD_CLONES void sum_rows(const T* a, const T* b, T* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(to[c], load(a[c]) + load(b[c]));
    }
}

template <class T, class G>
TD_CLONES void add_row(const T* from, G* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(to[c], load(to[c]) + load(from[c]));
    }
}

template <class T>
void forward(const Elementwise& op,
             std::span<const Operand> reads,
             const Operand& out,
             const KernelContext& context) {
    const std::int64_t n = op.columns;
    const std::int64_t vocab = reads[0].elements / n;
    const std::int64_t seq = reads.size() == 2 ? reads[1].elements / n : 0;
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        for (std::int64_t row = begin; row < end; ++row) {
            const T* from = reads[0].as<const T>() + token_of(context.seed, row, vocab) * n;
            T* to = out.as<T>() + row * n;
            if (seq > 0) {
                sum_rows(from, reads[1].as<const T>() + row % seq * n, to, n);
            } else {
                std::copy_n(from, n, to);
            }
        }
    };
    context.team->for_ranges(op.rows, 1, serial_below / n, run);
}

/// Threads split the columns, so that equal tokens never meet in two threads.
template <class T, class G>
void backward(const Elementwise& op,
              const Operand& d,
              std::span<const Operand> writes,
              const KernelContext& context) {
    const std::int64_t n = op.columns;
    const std::int64_t vocab = writes[0].elements / n;
    const std::int64_t seq = writes.size() == 2 ? writes[1].elements / n : 0;
    constexpr std::int64_t line = 32;  // elements: at least a cache line
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        for (std::int64_t row = 0; row < op.rows; ++row) {
            const T* from = d.as<const T>() + row * n + begin;
            const std::int64_t token = token_of(context.seed, row, vocab);
            add_row(from, writes[0].as<G>() + token * n + begin, end - begin);
            if (seq > 0) {
                add_row(from, writes[1].as<G>() + row % seq * n + begin, end - begin);
            }
        }
    };
    context.team->for_ranges(n, line, serial_below / op.rows, run);
}

}  // namespace

void run_embedding(const Elementwise& op,
                   std::span<const Operand> reads,
                   std::span<const Operand> writes,
                   const KernelContext& context) {
    const bool bf16 = reads[0].dtype == DType::bf16;
    if (op.kind == ElementwiseKind::embedding_forward) {
        const auto run = bf16 ? forward<Bf16> : forward<float>;
        return run(op, reads, writes[0], context);
    }
    if (writes[0].dtype == DType::bf16) {
        return backward<Bf16, Bf16>(op, reads[0], writes, context);
    }
    const auto run = bf16 ? backward<Bf16, float> : backward<float, float>;
    run(op, reads[0], writes, context);
}

}  // namespace traindyno::detail
