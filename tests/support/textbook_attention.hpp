// SPDX-License-Identifier: Apache-2.0
// Textbook attention in double precision: what every implementation is compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "emulator/device/attention_shape.hpp"

namespace traindyno {

/// One head at a time; nothing of it resembles what is tested.
class TextbookAttention {
  public:
    /// `keys_values`: where they are apart.
    TextbookAttention(const AttentionShape& shape,
                      const std::vector<float>& qkv,
                      const std::vector<float>& keys_values = {})
        : s_(shape),
          qkv_(qkv.begin(), qkv.end()),
          keys_values_(keys_values.begin(), keys_values.end()) {}

    [[nodiscard]] double query(std::int64_t b, std::int64_t row, std::int64_t column) const {
        return qkv_[static_cast<std::size_t>((b * s_.seq + row) * s_.qkv_width() + column)];
    }

    /// Of a key or a value.
    [[nodiscard]] double at(std::int64_t b, std::int64_t row, std::int64_t column) const {
        return (s_.keys_apart() ? keys_values_ : qkv_)[key_index(b, row, column)];
    }

    [[nodiscard]] std::int64_t key_column(std::int64_t head) const {
        return ((s_.keys_apart() ? 0 : s_.heads) + head / (s_.heads / s_.kv_heads)) * s_.head_size;
    }

    [[nodiscard]] std::int64_t value_column(std::int64_t head) const {
        return key_column(head) + s_.kv_heads * s_.head_size;
    }

    /// Probabilities of one row, and its log-sum-exp.
    [[nodiscard]] std::vector<double> row(std::int64_t b,
                                          std::int64_t head,
                                          std::int64_t i,
                                          double& log_sum_exp) const {
        const std::int64_t visible = s_.mask == AttentionMask::causal ? i + 1 : s_.key_rows();
        std::vector<double> p(static_cast<std::size_t>(visible));
        double sum = 0;
        for (std::int64_t j = 0; j < visible; ++j) {
            double score = 0;
            for (std::int64_t c = 0; c < s_.head_size; ++c) {
                score += query(b, i, head * s_.head_size + c) * at(b, j, key_column(head) + c);
            }
            p[static_cast<std::size_t>(j)] =
                std::exp(score / std::sqrt(static_cast<double>(s_.head_size)));
            sum += p[static_cast<std::size_t>(j)];
        }
        for (double& value : p) {
            value /= sum;
        }
        log_sum_exp = std::log(sum);
        return p;
    }

    /// Fills context, statistics and, for the loss <context, grad_context>, grad_qkv and
    /// grad_keys_values, which is empty where keys are not apart.
    void run(const std::vector<float>& grad_context) {
        context.assign(static_cast<std::size_t>(s_.batch * s_.seq * s_.context_width()), 0);
        statistics.assign(static_cast<std::size_t>(s_.batch * s_.heads * s_.seq), 0);
        grad_qkv.assign(static_cast<std::size_t>(s_.batch * s_.seq * s_.grad_query_width()), 0);
        grad_keys_values.assign(keys_values_.size(), 0);
        for (std::int64_t b = 0; b < s_.batch; ++b) {
            for (std::int64_t head = 0; head < s_.heads; ++head) {
                for (std::int64_t i = 0; i < s_.seq; ++i) {
                    run_row(b, head, i, grad_context);
                }
            }
        }
    }

    std::vector<double> context;
    std::vector<double> statistics;
    std::vector<double> grad_qkv;
    std::vector<double> grad_keys_values;

  private:
    [[nodiscard]] std::size_t key_index(std::int64_t b,
                                        std::int64_t row,
                                        std::int64_t column) const {
        return static_cast<std::size_t>((b * s_.key_rows() + row) * s_.kv_width() + column);
    }

    double& grad_query(std::int64_t b, std::int64_t row, std::int64_t column) {
        return grad_qkv[static_cast<std::size_t>((b * s_.seq + row) * s_.grad_query_width() +
                                                 column)];
    }

    /// Of a key or a value.
    double& grad(std::int64_t b, std::int64_t row, std::int64_t column) {
        return (s_.keys_apart() ? grad_keys_values : grad_qkv)[key_index(b, row, column)];
    }

    void run_row(std::int64_t b,
                 std::int64_t head,
                 std::int64_t i,
                 const std::vector<float>& grad_context) {
        const std::int64_t d = s_.head_size;
        const auto stat = static_cast<std::size_t>((b * s_.heads + head) * s_.seq + i);
        const std::vector<double> p = row(b, head, i, statistics[stat]);
        const std::int64_t out = (b * s_.seq + i) * s_.context_width() + head * d;
        std::vector<double> dp(p.size());
        double projection = 0;
        const auto visible = static_cast<std::int64_t>(p.size());
        for (std::int64_t j = 0; j < visible; ++j) {
            const double weight = p[static_cast<std::size_t>(j)];
            for (std::int64_t c = 0; c < d; ++c) {
                const double g =
                    static_cast<double>(grad_context[static_cast<std::size_t>(out + c)]);
                context[static_cast<std::size_t>(out + c)] +=
                    weight * at(b, j, value_column(head) + c);
                grad(b, j, value_column(head) + c) += weight * g;
                dp[static_cast<std::size_t>(j)] += g * at(b, j, value_column(head) + c);
            }
            projection += weight * dp[static_cast<std::size_t>(j)];
        }
        for (std::int64_t j = 0; j < visible; ++j) {
            const double ds = p[static_cast<std::size_t>(j)] *
                              (dp[static_cast<std::size_t>(j)] - projection) /
                              std::sqrt(static_cast<double>(d));
            for (std::int64_t c = 0; c < d; ++c) {
                grad_query(b, i, head * d + c) += ds * at(b, j, key_column(head) + c);
                grad(b, j, key_column(head) + c) += ds * query(b, i, head * d + c);
            }
        }
    }

    AttentionShape s_;
    std::vector<double> qkv_;
    std::vector<double> keys_values_;
};

}  // namespace traindyno
