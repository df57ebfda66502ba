// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/column_major.hpp"

#include <tuple>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

using Matrix = std::vector<std::int64_t>;

/// Element (i, j) of op(X), X as cuBLASLt reads it.
std::int64_t at(
    const Matrix& x, const ColumnMajor& m, Transpose t, std::int64_t i, std::int64_t j) {
    const auto [row, column] = t == Transpose::yes ? std::pair{j, i} : std::pair{i, j};
    EXPECT_LT(row, m.rows);
    EXPECT_LT(column, m.columns);
    return x.at(static_cast<std::size_t>(row + column * m.rows));
}

/// What cuBLASLt is defined to do: D[i, j] = sum over l of op(first)[i, l] op(second)[l, j].
Matrix by_columns(const ColumnMajorProduct& p, const Matrix& first, const Matrix& second) {
    Matrix d(static_cast<std::size_t>(p.result.rows * p.result.columns));
    const std::int64_t k = p.transpose_first == Transpose::yes ? p.first.rows : p.first.columns;
    for (std::int64_t i = 0; i < p.result.rows; ++i) {
        for (std::int64_t j = 0; j < p.result.columns; ++j) {
            for (std::int64_t l = 0; l < k; ++l) {
                d.at(static_cast<std::size_t>(i + j * p.result.rows)) +=
                    at(first, p.first, p.transpose_first, i, l) *
                    at(second, p.second, p.transpose_second, l, j);
            }
        }
    }
    return d;
}

/// What MatMul is defined to do.
Matrix by_rows(const GemmKey& key, const Matrix& a, const Matrix& b) {
    Matrix c(static_cast<std::size_t>(key.m * key.n));
    for (std::int64_t i = 0; i < key.m; ++i) {
        for (std::int64_t j = 0; j < key.n; ++j) {
            for (std::int64_t l = 0; l < key.k; ++l) {
                const std::int64_t in_a =
                    key.transpose_a == Transpose::yes ? l * key.m + i : i * key.k + l;
                const std::int64_t in_b =
                    key.transpose_b == Transpose::yes ? j * key.k + l : l * key.n + j;
                c.at(static_cast<std::size_t>(i * key.n + j)) +=
                    a.at(static_cast<std::size_t>(in_a)) * b.at(static_cast<std::size_t>(in_b));
            }
        }
    }
    return c;
}

Matrix numbers(std::int64_t count, std::int64_t seed) {
    Matrix result(static_cast<std::size_t>(count));
    for (std::int64_t& value : result) {
        seed = (seed * 75 + 74) % 65537;  // Lehmer's generator of the ZX81
        value = seed % 19 - 9;
    }
    return result;
}

class ColumnMajorCases : public testing::TestWithParam<std::tuple<Transpose, Transpose>> {};

TEST_P(ColumnMajorCases, give_the_row_major_product) {
    const auto [ta, tb] = GetParam();
    const GemmKey key{.m = 3, .n = 5, .k = 7, .transpose_a = ta, .transpose_b = tb};
    const Matrix a = numbers(3 * 7, 1);
    const Matrix b = numbers(7 * 5, 2);
    EXPECT_EQ(by_columns(column_major(key), b, a), by_rows(key, a, b));
}

INSTANTIATE_TEST_SUITE_P(Transposes,
                         ColumnMajorCases,
                         testing::Combine(testing::Values(Transpose::no, Transpose::yes),
                                          testing::Values(Transpose::no, Transpose::yes)));

TEST(ColumnMajor, has_the_output_features_as_rows_and_the_types_of_the_operands) {
    const ColumnMajorProduct product = column_major({.m = 3,
                                                     .n = 5,
                                                     .k = 7,
                                                     .type_a = GemmType::e5m2,
                                                     .type_b = GemmType::e4m3,
                                                     .type_c = GemmType::fp32});
    EXPECT_EQ(product.result, (ColumnMajor{.rows = 5, .columns = 3, .type = GemmType::fp32}));
    EXPECT_EQ(product.first.type, GemmType::e4m3);
    EXPECT_EQ(product.second.type, GemmType::e5m2);
}

TEST(ColumnMajor, of_the_only_fp8_layout_is_transposed_times_plain) {
    const ColumnMajorProduct product =
        column_major({.m = 16, .n = 32, .k = 64, .transpose_b = Transpose::yes});
    EXPECT_EQ(product.transpose_first, Transpose::yes);
    EXPECT_EQ(product.transpose_second, Transpose::no);
    EXPECT_EQ(product.first.rows, 64);
    EXPECT_EQ(product.second.rows, 64);
}

}  // namespace
}  // namespace traindyno
