// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/attention.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <omp.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/simd.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t query_block = 128;
constexpr std::int64_t key_block = 512;  // scores of a block pair: 256 KiB, within an L2 cache
static_assert(key_block % query_block == 0, "a key block must not begin inside a query block");

/// Rows of one query block against one key block.
struct Window {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t diagonal = 0;  ///< row r sees columns c <= r + diagonal

    [[nodiscard]] std::int64_t visible(std::int64_t row) const {
        return std::min(columns, row + diagonal + 1);
    }
};

/// probabilities <- exp(scores * scale - running maximum); brings maximum, sum and context to the
/// new maximum.
template <class T>
TD_CLONES void online_softmax(const Window& window,
                              float scale,
                              const float* scores,
                              T* probabilities,
                              float* maximum,
                              float* sum,
                              float* context,
                              std::int64_t head_size) {
    for (std::int64_t row = 0; row < window.rows; ++row) {
        const std::int64_t visible = window.visible(row);
        const float* s = scores + row * window.columns;
        T* p = probabilities + row * window.columns;
        float largest = s[0];
#pragma omp simd reduction(max : largest)
        for (std::int64_t c = 0; c < visible; ++c) {
            largest = s[c] > largest ? s[c] : largest;
        }
        const float before = maximum[row];
        const float after = std::max(before, largest * scale);
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (std::int64_t c = 0; c < visible; ++c) {
            const float e = fast_exp(s[c] * scale - after);
            store(p[c], e);
            total += e;
        }
        std::fill(p + visible, p + window.columns, T{});
        const float correction = fast_exp(before - after);
        maximum[row] = after;
        sum[row] = sum[row] * correction + total;
        float* o = context + row * head_size;
#pragma omp simd
        for (std::int64_t c = 0; c < head_size; ++c) {
            o[c] *= correction;
        }
    }
}

/// probabilities <- exp(scores * scale - log_sum_exp), 0 where masked.
template <class T>
TD_CLONES void softmax_again(const Window& window,
                             float scale,
                             const float* scores,
                             T* probabilities,
                             const float* log_sum_exp) {
    for (std::int64_t row = 0; row < window.rows; ++row) {
        const std::int64_t visible = window.visible(row);
        const float* s = scores + row * window.columns;
        T* p = probabilities + row * window.columns;
        const float shift = log_sum_exp[row];
#pragma omp simd
        for (std::int64_t c = 0; c < visible; ++c) {
            store(p[c], fast_exp(s[c] * scale - shift));
        }
        std::fill(p + visible, p + window.columns, T{});
    }
}

/// grad_scores <- probabilities * (grad_probabilities - projection of the row)
template <class T>
TD_CLONES void softmax_gradient(const Window& window,
                                const T* probabilities,
                                const float* grad_probabilities,
                                const float* projection,
                                T* grad_scores) {
    for (std::int64_t row = 0; row < window.rows; ++row) {
        const std::int64_t first = row * window.columns;
        const float shift = projection[row];
#pragma omp simd
        for (std::int64_t i = first; i < first + window.columns; ++i) {
            store(grad_scores[i], load(probabilities[i]) * (grad_probabilities[i] - shift));
        }
    }
}

template <class T>
TD_CLONES void scale_row(const float* from, float factor, T* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(to[c], from[c] * factor);
    }
}

template <class T>
TD_CLONES float dot(const T* a, const T* b, std::int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < n; ++c) {
        sum += load(a[c]) * load(b[c]);
    }
    return sum;
}

/// The matrix products of one pair of block sizes.
struct BlockProducts {
    Gemm scores;              ///< Q K^T
    Gemm context;             ///< += P V
    Gemm grad_probabilities;  ///< dO V^T
    Gemm grad_value;          ///< += P^T dO
    Gemm grad_query;          ///< += dS K
    Gemm grad_key;            ///< += dS^T Q
};

BlockProducts products_for(const AttentionShape& shape,
                           DType type,
                           std::int64_t rows,
                           std::int64_t columns) {
    const std::int64_t d = shape.head_size;
    const std::int64_t qkv = shape.qkv_width();
    const std::int64_t context = shape.context_width();
    const auto row_product = [&](std::int64_t stride_a) {  // [rows, d] x [columns, d]^T
        return GemmShape{.m = rows,
                         .n = columns,
                         .k = d,
                         .transpose_b = Transpose::yes,
                         .stride_a = stride_a,
                         .stride_b = qkv,
                         .stride_c = columns,
                         .type_a = type,
                         .type_b = type};
    };
    const GemmShape weighted{.m = rows,  // += [rows, columns] x [columns, d]
                             .n = d,
                             .k = columns,
                             .accumulate = Accumulate::yes,
                             .stride_a = columns,
                             .stride_b = qkv,
                             .stride_c = d,
                             .type_a = type,
                             .type_b = type};
    const auto gathered = [&](std::int64_t stride_b) {  // += [rows, columns]^T x [rows, d]
        return GemmShape{.m = columns,
                         .n = d,
                         .k = rows,
                         .transpose_a = Transpose::yes,
                         .accumulate = Accumulate::yes,
                         .stride_a = columns,
                         .stride_b = stride_b,
                         .stride_c = d,
                         .type_a = type,
                         .type_b = type};
    };
    return {.scores = Gemm{row_product(qkv)},
            .context = Gemm{weighted},
            .grad_probabilities = Gemm{row_product(context)},
            .grad_value = Gemm{gathered(context)},
            .grad_query = Gemm{weighted},
            .grad_key = Gemm{gathered(qkv)}};
}

/// Calls action(first_query, rows, first_key, columns) for every pair of blocks that is not wholly
/// masked, of the query block at `first_query`.
template <class Action>
void for_key_blocks(std::int64_t seq, std::int64_t first_query, const Action& action) {
    const std::int64_t rows = std::min(query_block, seq - first_query);
    const std::int64_t end = first_query + rows;
    for (std::int64_t key = 0; key < end; key += key_block) {
        action(rows, key, std::min(key_block, end - key));
    }
}

template <class T>
const T* at(const Operand& operand, std::int64_t element) {
    return operand.as<const T>() + element;
}

}  // namespace

/// One thread's matrix products and scratch memory.
struct Attention::Thread {
    std::map<std::pair<std::int64_t, std::int64_t>, BlockProducts> products;
    std::vector<float> scores;       ///< [query_block, key_block]
    std::vector<float> grad_scores;  ///< [query_block, key_block], backward only
    std::vector<Bf16> narrow;        ///< the two above as operands in bf16
    std::vector<Bf16> narrow_grad;
    std::vector<float> rows;        ///< [query_block, head_size]: context or query gradient
    std::vector<float> maximum;     ///< [query_block]
    std::vector<float> sum;         ///< [query_block]
    std::vector<float> grad_key;    ///< [seq, head_size], backward only
    std::vector<float> grad_value;  ///< [seq, head_size], backward only

    /// Where probabilities go: over the scores in fp32, beside them in bf16.
    template <class T>
    T* probabilities() {
        if constexpr (std::is_same_v<T, float>) {
            return scores.data();
        } else {
            return narrow.data();
        }
    }

    template <class T>
    T* score_gradients() {
        if constexpr (std::is_same_v<T, float>) {
            return grad_scores.data();
        } else {
            return narrow_grad.data();
        }
    }
};

Attention::Attention(const AttentionShape& shape, DType precision, const Team& team)
    : shape_(shape), precision_(precision), team_(team) {
    TD_EXPECT(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);  // each thread runs its own products
    const auto pair = static_cast<std::size_t>(query_block * key_block);
    const auto head = static_cast<std::size_t>(shape.seq * shape.head_size);
    for (int i = 0; i < team.threads(); ++i) {
        auto thread = std::make_unique<Thread>();
        for (std::int64_t query = 0; query < shape.seq; query += query_block) {
            for_key_blocks(shape.seq, query, [&](auto rows, auto /*key*/, auto columns) {
                if (!thread->products.contains({rows, columns})) {
                    thread->products.emplace(std::pair{rows, columns},
                                             products_for(shape, precision, rows, columns));
                }
            });
        }
        thread->scores.resize(pair);
        thread->grad_scores.resize(pair);
        if (precision == DType::bf16) {
            thread->narrow.resize(pair);
            thread->narrow_grad.resize(pair);
        }
        thread->rows.resize(static_cast<std::size_t>(query_block * shape.head_size));
        thread->maximum.resize(query_block);
        thread->sum.resize(query_block);
        thread->grad_key.resize(head);
        thread->grad_value.resize(head);
        threads_.push_back(std::move(thread));
    }
    omp_set_num_threads(before);
}

Attention::~Attention() = default;

template <class T>
void Attention::forward_block(const AttentionOperands& operands,
                              std::int64_t item,
                              Thread& thread) {
    const std::int64_t blocks = (shape_.seq + query_block - 1) / query_block;
    const std::int64_t sequence = item / (blocks * shape_.heads);
    const std::int64_t head = item / blocks % shape_.heads;
    const std::int64_t query = (blocks - 1 - item % blocks) * query_block;  // longest first
    const std::int64_t d = shape_.head_size;
    const std::int64_t width = shape_.qkv_width();
    const std::int64_t kv_head = head / (shape_.heads / shape_.kv_heads);
    const T* qkv = at<T>(operands.qkv, sequence * shape_.seq * width);
    const T* keys = qkv + (shape_.heads + kv_head) * d;
    const T* values = keys + shape_.kv_heads * d;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    std::fill(thread.maximum.begin(), thread.maximum.end(), -1e30F);
    std::fill(thread.sum.begin(), thread.sum.end(), 0.0F);
    std::fill(thread.rows.begin(), thread.rows.end(), 0.0F);
    T* probabilities = thread.probabilities<T>();
    std::int64_t row_count = 0;
    for_key_blocks(shape_.seq, query, [&](auto rows, auto key, auto columns) {
        BlockProducts& products = thread.products.at({rows, columns});
        products.scores.run(
            qkv + query * width + head * d, keys + key * width, thread.scores.data());
        online_softmax(Window{.rows = rows, .columns = columns, .diagonal = query - key},
                       scale,
                       thread.scores.data(),
                       probabilities,
                       thread.maximum.data(),
                       thread.sum.data(),
                       thread.rows.data(),
                       d);
        products.context.run(probabilities, values + key * width, thread.rows.data());
        row_count = rows;
    });
    T* statistics =
        operands.statistics.as<T>() + (sequence * shape_.heads + head) * shape_.seq + query;
    T* context = operands.context.as<T>() +
                 (sequence * shape_.seq + query) * shape_.context_width() + head * d;
    for (std::int64_t row = 0; row < row_count; ++row) {
        const auto r = static_cast<std::size_t>(row);
        store(statistics[row], thread.maximum[r] + std::log(thread.sum[r]));
        scale_row(thread.rows.data() + row * d,
                  1.0F / thread.sum[r],
                  context + row * shape_.context_width(),
                  d);
    }
}

template <class T>
void Attention::backward_head(const AttentionOperands& operands,
                              std::int64_t item,
                              Thread& thread) {
    const std::int64_t sequence = item / shape_.kv_heads;
    const std::int64_t kv_head = item % shape_.kv_heads;
    const std::int64_t group = shape_.heads / shape_.kv_heads;
    const std::int64_t d = shape_.head_size;
    const std::int64_t width = shape_.qkv_width();
    const std::int64_t context_width = shape_.context_width();
    const std::int64_t first_row = sequence * shape_.seq;
    const T* qkv = at<T>(operands.qkv, first_row * width);
    T* grad_qkv = operands.grad_qkv.as<T>() + first_row * width;
    const std::int64_t key_column = (shape_.heads + kv_head) * d;
    const std::int64_t value_column = key_column + shape_.kv_heads * d;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    std::fill(thread.grad_key.begin(), thread.grad_key.end(), 0.0F);
    std::fill(thread.grad_value.begin(), thread.grad_value.end(), 0.0F);
    T* probabilities = thread.probabilities<T>();
    T* grad_scores = thread.score_gradients<T>();
    float* log_sum_exp = thread.maximum.data();
    float* projection = thread.sum.data();

    const auto one_query_block = [&](std::int64_t head, std::int64_t query) {
        const T* queries = qkv + query * width + head * d;
        const std::int64_t out = (first_row + query) * context_width + head * d;
        const T* context = at<T>(operands.context, out);
        const T* grad_context = at<T>(operands.grad_context, out);
        const T* statistics =
            at<T>(operands.statistics, (sequence * shape_.heads + head) * shape_.seq + query);
        const std::int64_t rows = std::min(query_block, shape_.seq - query);
        for (std::int64_t row = 0; row < rows; ++row) {
            log_sum_exp[row] = load(statistics[row]);
            projection[row] =
                dot(context + row * context_width, grad_context + row * context_width, d);
        }
        std::fill(thread.rows.begin(), thread.rows.end(), 0.0F);
        for_key_blocks(shape_.seq, query, [&](auto, auto key, auto columns) {
            const Window window{.rows = rows, .columns = columns, .diagonal = query - key};
            const T* keys = qkv + key * width + key_column;
            const T* values = qkv + key * width + value_column;
            BlockProducts& products = thread.products.at({rows, columns});
            products.scores.run(queries, keys, thread.scores.data());
            softmax_again(window, scale, thread.scores.data(), probabilities, log_sum_exp);
            products.grad_value.run(
                probabilities, grad_context, thread.grad_value.data() + key * d);
            products.grad_probabilities.run(grad_context, values, thread.grad_scores.data());
            softmax_gradient(
                window, probabilities, thread.grad_scores.data(), projection, grad_scores);
            products.grad_query.run(grad_scores, keys, thread.rows.data());
            products.grad_key.run(grad_scores, queries, thread.grad_key.data() + key * d);
        });
        for (std::int64_t row = 0; row < rows; ++row) {
            scale_row(thread.rows.data() + row * d,
                      scale,
                      grad_qkv + (query + row) * width + head * d,
                      d);
        }
    };
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (std::int64_t query = 0; query < shape_.seq; query += query_block) {
            one_query_block(head, query);
        }
    }
    for (std::int64_t row = 0; row < shape_.seq; ++row) {
        T* to = grad_qkv + row * width;
        scale_row(thread.grad_key.data() + row * d, scale, to + key_column, d);
        scale_row(thread.grad_value.data() + row * d, 1.0F, to + value_column, d);
    }
}

void Attention::forward(const AttentionOperands& operands) {
    const std::int64_t blocks = (shape_.seq + query_block - 1) / query_block;
    team_.for_items(shape_.batch * shape_.heads * blocks, [&](std::int64_t item, int index) {
        Thread& thread = *threads_[static_cast<std::size_t>(index)];
        if (precision_ == DType::bf16) {
            forward_block<Bf16>(operands, item, thread);
        } else {
            forward_block<float>(operands, item, thread);
        }
    });
}

void Attention::backward(const AttentionOperands& operands) {
    team_.for_items(shape_.batch * shape_.kv_heads, [&](std::int64_t item, int index) {
        Thread& thread = *threads_[static_cast<std::size_t>(index)];
        if (precision_ == DType::bf16) {
            backward_head<Bf16>(operands, item, thread);
        } else {
            backward_head<float>(operands, item, thread);
        }
    });
}

}  // namespace traindyno
