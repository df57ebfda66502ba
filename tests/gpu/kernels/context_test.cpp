// SPDX-License-Identifier: Apache-2.0
// Columns cut out and joined, and partial attentions merged, against their formulas in fp64.
#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/gpu/kernels/kernel_fixture.hpp"

namespace traindyno {
namespace {

using enum ElementwiseKind;

struct Shape {
    std::int64_t rows = 0;
    std::int64_t heads = 0;
    std::int64_t head_size = 0;
    std::int64_t before = 0;  ///< tokens of the sequence before the rows
    std::int64_t offset = 0;  ///< of every operand in storage, in elements

    [[nodiscard]] std::int64_t columns() const { return heads * head_size; }
};

class ContextOnGpu : public KernelOnGpu<Shape> {
  protected:
    /// fp32 in a space that holds another type.
    [[nodiscard]] DeviceArray statistics(std::int64_t elements) {
        DeviceArray array(elements, DType::fp32);
        array.set(normal(elements));
        return array;
    }

    [[nodiscard]] static Operand in_storage(const DeviceArray& statistics) {
        Operand operand = statistics.operand();
        operand.elements = words_of_fp32(operand.elements, type());
        operand.dtype = type();
        return operand;
    }

    void run(ElementwiseKind kind,
             std::int64_t rows,
             std::int64_t columns,
             const std::vector<Operand>& reads,
             const std::vector<Operand>& writes) {
        Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
        const auto slices = [](const std::vector<Operand>& operands) {
            std::vector<Slice> result;
            for (const Operand& operand : operands) {
                // The address tells operands apart, as op.reads[0] == op.writes[0] means "in
                // place".
                result.push_back({.offset = reinterpret_cast<std::intptr_t>(operand.data),
                                  .elements = operand.elements});
            }
            return result;
        };
        op.reads = slices(reads);
        op.writes = slices(writes);
        launch(op, reads, writes);
    }
};

TEST_P(ContextOnGpu, cuts_the_last_columns_out_and_joins_them_again) {
    const std::int64_t rows = shape().rows;
    const std::int64_t first = shape().columns();
    const std::int64_t last = 2 * shape().head_size;
    const DeviceArray x = filled(rows * first);
    const DeviceArray y = filled(rows * last);
    const DeviceArray joined = blank(rows * (first + last));
    const DeviceArray cut = blank(rows * last);
    run(join_columns, rows, first + last, {x.operand(), y.operand()}, {joined.operand()});
    run(slice_columns, rows, last, {joined.operand()}, {cut.operand()});
    EXPECT_TRUE(joined.is_confined() && cut.is_confined());
    EXPECT_EQ(cut.values(), y.values());
    const Values whole = joined.values();
    const Values left = x.values();
    for (std::size_t i = 0; i < left.size(); ++i) {
        const auto width = static_cast<std::size_t>(first);
        ASSERT_EQ(whole[i / width * static_cast<std::size_t>(first + last) + i % width], left[i])
            << "element " << i;
    }
}

/// Into the last rows of the statistics of a sequence; those before stay.
TEST_P(ContextOnGpu, merges_attentions_by_their_log_sum_exp) {
    const auto [rows, heads, head_size, before, offset] = shape();
    const std::int64_t columns = shape().columns();
    const std::int64_t tokens = before + rows;
    const DeviceArray context = filled(rows * columns);
    const DeviceArray other = filled(rows * columns);
    const DeviceArray own_sums = statistics(heads * tokens);
    const DeviceArray other_sums = statistics(heads * rows);
    Values expected = context.values();
    Values expected_sums = own_sums.values();
    const Values added = other.values();
    const Values added_sums = other_sums.values();
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t head = 0; head < heads; ++head) {
            double& sum = expected_sums[static_cast<std::size_t>(head * tokens + before + row)];
            const double a = std::exp(sum);
            const double b = std::exp(added_sums[static_cast<std::size_t>(head * rows + row)]);
            sum = std::log(a + b);
            for (std::int64_t c = 0; c < head_size; ++c) {
                const auto at = static_cast<std::size_t>(row * columns + head * head_size + c);
                expected[at] = (a * expected[at] + b * added[at]) / (a + b);
            }
        }
    }
    const std::vector<Operand> merged{context.operand(), in_storage(own_sums)};
    run(attention_merge,
        rows,
        columns,
        {merged[0], merged[1], other.operand(), in_storage(other_sums)},
        merged);
    EXPECT_TRUE(context.is_confined() && own_sums.is_confined());
    const Values sums = own_sums.values();
    for (std::size_t i = 0; i < sums.size(); ++i) {
        ASSERT_NEAR(sums[i], expected_sums[i], 1e-5) << "statistic " << i;
    }
    const Values actual = context.values();
    const double unit = rounding_unit(type()) + 1e-5;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i], 8 * unit) << "element " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    ContextOnGpu,
    testing::Combine(testing::Values(DType::fp32, DType::bf16, DType::fp16),
                     testing::Values(Shape{128, 12, 64, 0, 0},
                                     Shape{300, 32, 128, 300, 0},  // the last half of the queries
                                     Shape{65, 3, 20, 1, 0},       // rows without whole vectors
                                     Shape{65, 3, 64, 0, 1},       // nothing aligned
                                     Shape{2, 300, 8, 2, 0},       // more heads than threads
                                     Shape{3000, 1, 64, 0, 0})),
    [](const auto& test) {
        const Shape& s = std::get<1>(test.param);
        return fmt::format("{}_{}x{}x{}_after_{}_at_{}",
                           to_string(std::get<0>(test.param)),
                           s.rows,
                           s.heads,
                           s.head_size,
                           s.before,
                           s.offset);
    });

}  // namespace
}  // namespace traindyno
