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

std::int64_t query_blocks(std::int64_t seq) {
    return (seq + query_block - 1) / query_block;
}

/// Rows of one query block against one key block.
struct Window {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t diagonal = 0;  ///< row r sees columns c <= r + diagonal

    /// Where every row sees every column.
    [[nodiscard]] static std::int64_t no_diagonal(std::int64_t columns) { return columns; }

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

/// Calls action(window, first key) for every key block that the query block at `first_query` sees
/// any of.
template <class Action>
void for_key_blocks(const AttentionShape& shape, std::int64_t first_query, const Action& action) {
    const bool causal = shape.mask == AttentionMask::causal;
    const std::int64_t rows = std::min(query_block, shape.seq - first_query);
    const std::int64_t end = causal ? first_query + rows : shape.key_rows();
    for (std::int64_t key = 0; key < end; key += key_block) {
        const std::int64_t columns = std::min(key_block, end - key);
        action(Window{.rows = rows,
                      .columns = columns,
                      .diagonal = causal ? first_query - key : Window::no_diagonal(columns)},
               key);
    }
}

}  // namespace

/// Where one head of one sequence lies in the operands.
template <class T>
struct Attention::HeadView {
    HeadView(const AttentionShape& shape,
             const AttentionOperands& operands,
             std::int64_t sequence,
             std::int64_t head)
        : width(shape.qkv_width()),
          kv_width(shape.kv_width()),
          grad_width(shape.grad_query_width()),
          context_width(shape.context_width()) {
        const bool apart = shape.keys_apart();
        const std::int64_t d = shape.head_size;
        const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
        const std::int64_t row = sequence * shape.seq;
        const std::int64_t key_row = sequence * shape.key_rows() * kv_width;
        const std::int64_t out = row * context_width + head * d;
        key_column = ((apart ? 0 : shape.heads) + kv_head) * d;
        value_column = key_column + shape.kv_heads * d;
        queries = operands.qkv.as<const T>() + row * width + head * d;
        const Operand& kv = apart ? operands.keys_values : operands.qkv;
        keys = kv.as<const T>() + key_row + key_column;
        values = kv.as<const T>() + key_row + value_column;
        context = operands.context.as<T>() + out;
        statistics = operands.statistics.as<float>() + (sequence * shape.heads + head) * shape.seq;
        if (operands.grad_qkv.data != nullptr) {
            grad_context = operands.grad_context.as<const T>() + out;
            grad_queries = operands.grad_qkv.as<T>() + row * grad_width + head * d;
            grad_kv = (apart ? operands.grad_keys_values : operands.grad_qkv).as<T>() + key_row;
        }
    }

    std::int64_t width;          ///< between rows of queries
    std::int64_t kv_width;       ///< of keys, values and their gradients
    std::int64_t grad_width;     ///< of gradients of queries
    std::int64_t context_width;  ///< between rows of the context and its gradient
    std::int64_t key_column = 0;
    std::int64_t value_column = 0;
    const T* queries = nullptr;
    const T* keys = nullptr;
    const T* values = nullptr;
    T* context = nullptr;
    float* statistics = nullptr;
    const T* grad_context = nullptr;  ///< this and below: backward only
    T* grad_queries = nullptr;
    T* grad_kv = nullptr;  ///< of the sequence, all heads
};

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
    std::vector<float> grad_key;    ///< [keys, head_size], backward only
    std::vector<float> grad_value;  ///< [keys, head_size], backward only

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
    const auto head = static_cast<std::size_t>(shape.key_rows() * shape.head_size);
    for (int i = 0; i < team.threads(); ++i) {
        auto thread = std::make_unique<Thread>();
        for (std::int64_t query = 0; query < shape.seq; query += query_block) {
            for_key_blocks(shape, query, [&](const Window& window, auto /*key*/) {
                const std::pair size{window.rows, window.columns};
                if (!thread->products.contains(size)) {
                    thread->products.emplace(
                        size, products_for(shape, precision, window.rows, window.columns));
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
                              Thread& thread) const {
    const std::int64_t blocks = query_blocks(shape_.seq);
    const std::int64_t head = item / blocks;
    const std::int64_t query = (blocks - 1 - item % blocks) * query_block;  // longest first
    const HeadView<T> at(shape_, operands, head / shape_.heads, head % shape_.heads);
    const std::int64_t d = shape_.head_size;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    float* scores = thread.scores.data();
    T* probabilities = thread.template probabilities<T>();
    std::fill(thread.maximum.begin(), thread.maximum.end(), -1e30F);
    std::fill(thread.sum.begin(), thread.sum.end(), 0.0F);
    std::fill(thread.rows.begin(), thread.rows.end(), 0.0F);
    for_key_blocks(shape_, query, [&](const Window& window, auto key) {
        BlockProducts& products = thread.products.at({window.rows, window.columns});
        products.scores.run(at.queries + query * at.width, at.keys + key * at.kv_width, scores);
        online_softmax(window,
                       scale,
                       scores,
                       probabilities,
                       thread.maximum.data(),
                       thread.sum.data(),
                       thread.rows.data(),
                       d);
        products.context.run(probabilities, at.values + key * at.kv_width, thread.rows.data());
    });
    const std::int64_t rows = std::min(query_block, shape_.seq - query);
    for (std::int64_t row = 0; row < rows; ++row) {
        const float sum = thread.sum[static_cast<std::size_t>(row)];
        const float maximum = thread.maximum[static_cast<std::size_t>(row)];
        at.statistics[query + row] = maximum + std::log(sum);
        scale_row(thread.rows.data() + row * d,
                  1.0F / sum,
                  at.context + (query + row) * at.context_width,
                  d);
    }
}

template <class T>
void Attention::backward_block(const HeadView<T>& at, std::int64_t query, Thread& thread) const {
    const std::int64_t d = shape_.head_size;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    const T* queries = at.queries + query * at.width;
    const T* grad_context = at.grad_context + query * at.context_width;
    float* scores = thread.scores.data();
    float* grad_probabilities = thread.grad_scores.data();
    T* probabilities = thread.template probabilities<T>();
    T* grad_scores = thread.template score_gradients<T>();
    float* log_sum_exp = thread.maximum.data();
    float* projection = thread.sum.data();  // <dO, O> of each row
    const std::int64_t rows = std::min(query_block, shape_.seq - query);
    for (std::int64_t row = 0; row < rows; ++row) {
        log_sum_exp[row] = at.statistics[query + row];
        projection[row] = dot(at.context + (query + row) * at.context_width,
                              grad_context + row * at.context_width,
                              d);
    }
    std::fill(thread.rows.begin(), thread.rows.end(), 0.0F);
    for_key_blocks(shape_, query, [&](const Window& window, auto key) {
        const T* keys = at.keys + key * at.kv_width;
        BlockProducts& products = thread.products.at({window.rows, window.columns});
        products.scores.run(queries, keys, scores);
        softmax_again(window, scale, scores, probabilities, log_sum_exp);
        products.grad_value.run(probabilities, grad_context, thread.grad_value.data() + key * d);
        products.grad_probabilities.run(
            grad_context, at.values + key * at.kv_width, grad_probabilities);
        softmax_gradient(window, probabilities, grad_probabilities, projection, grad_scores);
        products.grad_query.run(grad_scores, keys, thread.rows.data());
        products.grad_key.run(grad_scores, queries, thread.grad_key.data() + key * d);
    });
    for (std::int64_t row = 0; row < rows; ++row) {
        scale_row(thread.rows.data() + row * d,
                  scale,
                  at.grad_queries + (query + row) * at.grad_width,
                  d);
    }
}

/// All query heads that share one key head: their key and value gradients add up.
template <class T>
void Attention::backward_group(const AttentionOperands& operands,
                               std::int64_t item,
                               Thread& thread) const {
    const std::int64_t sequence = item / shape_.kv_heads;
    const std::int64_t group = shape_.heads / shape_.kv_heads;
    const std::int64_t first = item % shape_.kv_heads * group;
    const std::int64_t d = shape_.head_size;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    std::fill(thread.grad_key.begin(), thread.grad_key.end(), 0.0F);
    std::fill(thread.grad_value.begin(), thread.grad_value.end(), 0.0F);
    for (std::int64_t head = first; head < first + group; ++head) {
        const HeadView<T> at(shape_, operands, sequence, head);
        for (std::int64_t query = 0; query < shape_.seq; query += query_block) {
            backward_block(at, query, thread);
        }
    }
    const HeadView<T> at(shape_, operands, sequence, first);
    for (std::int64_t row = 0; row < shape_.key_rows(); ++row) {
        T* to = at.grad_kv + row * at.kv_width;
        scale_row(thread.grad_key.data() + row * d, scale, to + at.key_column, d);
        scale_row(thread.grad_value.data() + row * d, 1.0F, to + at.value_column, d);
    }
}

void Attention::forward(const AttentionOperands& operands) {
    team_.for_items(shape_.batch * shape_.heads * query_blocks(shape_.seq),
                    [&](std::int64_t item, int index) {
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
            backward_group<Bf16>(operands, item, thread);
        } else {
            backward_group<float>(operands, item, thread);
        }
    });
}

}  // namespace traindyno
