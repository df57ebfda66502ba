// SPDX-License-Identifier: Apache-2.0
// What attention over a sequence in parts needs beside the partial attentions.
#include <algorithm>
#include <cmath>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"

namespace traindyno::detail {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us

template <class T>
TD_CLONES void weighted_sum(T* x, const T* y, float weight_x, float weight_y, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(x[c], weight_x * load(x[c]) + weight_y * load(y[c]));
    }
}

/// Both contexts are averages over their keys, weighted by the exponential of their log-sum-exp
/// (Liu et al., arXiv:2310.01889, section 3).
template <class T>
void merge(const Elementwise& op,
           std::span<const Operand> reads,
           std::span<const Operand> writes,
           const KernelContext& context) {
    const std::int64_t columns = op.columns;
    const auto words = [](const Operand& statistics) {
        return statistics.elements * element_size(statistics.dtype) /
               static_cast<std::int64_t>(sizeof(float));
    };
    const std::int64_t heads = words(reads[3]) / op.rows;
    const std::int64_t head_size = columns / heads;
    const std::int64_t queries = words(reads[1]) / heads;
    float* statistics = writes[1].as<float>() + queries - op.rows;
    const auto* other_statistics = reads[3].as<const float>();
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        for (std::int64_t row = begin; row < end; ++row) {
            for (std::int64_t head = 0; head < heads; ++head) {
                float& mine = statistics[head * queries + row];
                const float other = other_statistics[head * op.rows + row];
                const float largest = std::max(mine, other);
                const float weight = std::exp(mine - largest);
                const float other_weight = std::exp(other - largest);
                const float sum = weight + other_weight;
                const std::int64_t at = row * columns + head * head_size;
                weighted_sum(writes[0].as<T>() + at,
                             reads[2].as<const T>() + at,
                             weight / sum,
                             other_weight / sum,
                             head_size);
                mine = largest + std::log(sum);
            }
        }
    };
    context.team->for_ranges(op.rows, 1, serial_below / columns, run);
}

/// Copies `columns` of each row; the operands point at the first, `strides` apart.
template <class T>
void copy_columns(const Elementwise& op,
                  const T* from,
                  std::int64_t stride_from,
                  T* to,
                  std::int64_t stride_to,
                  std::int64_t columns,
                  const KernelContext& context) {
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        for (std::int64_t row = begin; row < end; ++row) {
            std::copy_n(from + row * stride_from, columns, to + row * stride_to);
        }
    };
    context.team->for_ranges(op.rows, 1, serial_below / columns, run);
}

template <class T>
void run_typed(const Elementwise& op,
               std::span<const Operand> reads,
               std::span<const Operand> writes,
               const KernelContext& context) {
    const auto width = [&op](const Operand& operand) { return operand.elements / op.rows; };
    T* to = writes[0].as<T>();
    switch (op.kind) {
        case ElementwiseKind::slice_columns: {
            const std::int64_t from = width(reads[0]);
            const T* first = reads[0].as<const T>() + from - op.columns;
            return copy_columns(op, first, from, to, op.columns, op.columns, context);
        }
        case ElementwiseKind::join_columns:
            for (const Operand& part : reads) {
                const std::int64_t columns = width(part);
                copy_columns(op, part.as<const T>(), columns, to, op.columns, columns, context);
                to += columns;
            }
            return;
        case ElementwiseKind::attention_merge:
            return merge<T>(op, reads, writes, context);
        default:
            TD_EXPECT(!"a kind of context parallelism");
    }
}

}  // namespace

void run_context(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context) {
    const bool bf16 = reads[0].dtype == DType::bf16;
    (bf16 ? run_typed<Bf16> : run_typed<float>)(op, reads, writes, context);
}

}  // namespace traindyno::detail
