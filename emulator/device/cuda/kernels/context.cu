// SPDX-License-Identifier: Apache-2.0
// What attention over a sequence in parts needs beside the partial attentions.
#include "emulator/device/cuda/kernels/launch.cuh"

namespace traindyno::cuda {

namespace {

constexpr int most_threads = 256;

/// Some columns of each row, in words of a thread.
template <class Word>
struct ColumnCopy {
    const Word* from;
    Word* to;
    std::int64_t from_stride;  ///< from row to row
    std::int64_t to_stride;
    std::int64_t rows;
    std::int64_t columns;
};

template <class Word>
__global__ void __launch_bounds__(most_threads) copy_rows(const ColumnCopy<Word> copy) {
    constexpr int ahead = 4;  // rows loaded before any is stored
    const std::int64_t column = std::int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
    if (column >= copy.columns) {
        return;
    }
    for (std::int64_t first = blockIdx.x; first < copy.rows;
         first += std::int64_t{gridDim.x} * ahead) {
        Word words[ahead];
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t row = first + std::int64_t{a} * gridDim.x;
            if (row < copy.rows) {
                words[a] = copy.from[row * copy.from_stride + column];
            }
        }
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t row = first + std::int64_t{a} * gridDim.x;
            if (row < copy.rows) {
                copy.to[row * copy.to_stride + column] = words[a];
            }
        }
    }
}

/// Columns of a matrix: where their first row begins, and the matrix's width.
struct Columns {
    const Operand& matrix;
    std::int64_t first;  ///< column
    std::int64_t width;  ///< of the matrix
};

template <class Word>
void copy_words(const Columns& from,
                const Columns& to,
                std::int64_t rows,
                std::int64_t columns,
                const KernelContext& context) {
    const std::int64_t size = element_size(to.matrix.dtype);
    const auto words = [&](std::int64_t elements) {
        return elements * size / static_cast<std::int64_t>(sizeof(Word));
    };
    const ColumnCopy<Word> copy{
        .from = reinterpret_cast<const Word*>(from.matrix.data + from.first * size),
        .to = reinterpret_cast<Word*>(to.matrix.data + to.first * size),
        .from_stride = words(from.width),
        .to_stride = words(to.width),
        .rows = rows,
        .columns = words(columns)};
    const ColumnWalk walk = column_walk(rows, copy.columns, context.multiprocessors);
    copy_rows<<<grid_of(walk.row_blocks, walk.column_blocks), walk.threads, 0, context.stream>>>(
        copy);
    check_launch("copy_rows");
}

/// In vectors where every row of both consists of aligned ones, else in the two bytes that divide
/// every type.
void copy_columns(const Columns& from,
                  const Columns& to,
                  std::int64_t rows,
                  std::int64_t columns,
                  const KernelContext& context) {
    const std::int64_t size = element_size(to.matrix.dtype);
    std::uintptr_t bits = static_cast<std::uintptr_t>(columns * size);
    for (const Columns* side : {&from, &to}) {
        bits |= reinterpret_cast<std::uintptr_t>(side->matrix.data + side->first * size) |
                static_cast<std::uintptr_t>(side->width * size);
    }
    if (bits % vector_bytes == 0) {
        copy_words<uint4>(from, to, rows, columns, context);
    } else {
        copy_words<unsigned short>(from, to, rows, columns, context);
    }
}

/// Two attentions of the same queries over different keys.
template <class T>
struct Merge {
    T* context;  ///< [rows, columns]
    float* statistics;
    const T* other_context;
    const float* other_statistics;  ///< [heads, rows]
    std::int64_t
        statistics_stride;  ///< from head to head; its last `rows` are those of the queries
    std::int64_t rows;
    std::int64_t columns;
    std::int64_t heads;
};

/// One block per query. Both contexts are averages over their keys, weighted by the exponential of
/// their log-sum-exp (Liu et al., arXiv:2310.01889, section 3).
template <class T, int width>
__global__ void __launch_bounds__(most_threads) merge_rows(const Merge<T> op) {
    extern __shared__ float2 weights[];  // of each head: own, other
    const std::int64_t row = blockIdx.x;
    for (std::int64_t head = threadIdx.x; head < op.heads; head += blockDim.x) {
        float& own = op.statistics[(head + 1) * op.statistics_stride - op.rows + row];
        const float other = op.other_statistics[head * op.rows + row];
        const float largest = fmaxf(own, other);
        const float weight = expf(own - largest);
        const float other_weight = expf(other - largest);
        const float sum = weight + other_weight;
        weights[head] = make_float2(weight / sum, other_weight / sum);
        own = largest + logf(sum);
    }
    __syncthreads();
    const std::int64_t head_size = op.columns / op.heads;
    for (std::int64_t column = std::int64_t{threadIdx.x} * width; column < op.columns;
         column += std::int64_t{blockDim.x} * width) {
        T* own = op.context + row * op.columns + column;
        const auto x = load<width>(own);
        const auto y = load_once<width>(op.other_context + row * op.columns + column);
        const float2 weight = weights[column / head_size];
        float merged[width];
#pragma unroll
        for (int i = 0; i < width; ++i) {
            merged[i] = weight.x * x[i] + weight.y * y[i];
        }
        store(own, packed<T>(merged));
    }
}

std::int64_t words_of(const Operand& statistics) {
    return statistics.elements * element_size(statistics.dtype) / element_size(DType::fp32);
}

void merge(const Elementwise& op,
           detail::Operands reads,
           detail::Operands writes,
           const KernelContext& context) {
    const std::int64_t heads = words_of(reads[3]) / op.rows;
    with_type(writes[0].dtype, [&](auto type) {
        using T = decltype(type);
        const Merge<T> merged{.context = writes[0].as<T>(),
                              .statistics = writes[1].as<float>(),
                              .other_context = reads[2].as<const T>(),
                              .other_statistics = reads[3].as<const float>(),
                              .statistics_stride = words_of(writes[1]) / heads,
                              .rows = op.rows,
                              .columns = op.columns,
                              .heads = heads};
        const auto run = [&](auto width) {
            const ColumnWalk walk =
                column_walk(op.rows, op.columns / width(), context.multiprocessors);
            const auto shared = static_cast<std::size_t>(heads) * sizeof(float2);
            merge_rows<T, width()>
                <<<grid_of(op.rows), walk.threads, shared, context.stream>>>(merged);
        };
        // A vector has one head.
        with_row_width<T>(op.columns / heads, run, reads[2], writes[0]);
    });
    check_launch("merge_rows");
}

}  // namespace

namespace detail {

void run_context(const Elementwise& op,
                 Operands reads,
                 Operands writes,
                 const KernelContext& context) {
    const Operand& to = writes[0];
    const auto width = [&](const Operand& matrix) { return matrix.elements / op.rows; };
    switch (op.kind) {
        case ElementwiseKind::slice_columns: {
            const std::int64_t whole = width(reads[0]);
            return copy_columns({reads[0], whole - op.columns, whole},
                                {to, 0, op.columns},
                                op.rows,
                                op.columns,
                                context);
        }
        case ElementwiseKind::join_columns: {
            std::int64_t first = 0;
            for (const Operand& part : reads) {
                const std::int64_t columns = width(part);
                copy_columns(
                    {part, 0, columns}, {to, first, op.columns}, op.rows, columns, context);
                first += columns;
            }
            return;
        }
        case ElementwiseKind::attention_merge:
            return merge(op, reads, writes, context);
        default:
            TD_EXPECT(!"a kind of context parallelism");
    }
}

}  // namespace detail

}  // namespace traindyno::cuda
