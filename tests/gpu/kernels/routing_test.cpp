// SPDX-License-Identifier: Apache-2.0
// Routers, permutations and concatenation on the device against their formulas in fp64.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/gpu/kernels/kernel_fixture.hpp"

namespace traindyno {
namespace {

using enum ElementwiseKind;

struct Shape {
    std::int64_t tokens = 0;
    std::int64_t columns = 0;
    std::int64_t slots = 0;
    std::int64_t top_k = 0;
    std::int64_t offset = 0;  ///< of every operand, in elements
};

class RoutingOnGpu : public KernelOnGpu<Shape> {
  protected:
    void run(ElementwiseKind kind,
             std::int64_t rows,
             std::int64_t columns,
             const std::vector<const DeviceArray*>& reads,
             const std::vector<const DeviceArray*>& writes) {
        Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
        std::vector<Operand> from;
        std::vector<Operand> to;
        for (const DeviceArray* array : reads) {
            from.push_back(array->operand());
            op.reads.push_back({.elements = from.back().elements});
        }
        for (const DeviceArray* array : writes) {
            to.push_back(array->operand());
            op.writes.push_back({.elements = to.back().elements});
        }
        launch(op, from, to);
        for (const DeviceArray* array : writes) {
            EXPECT_TRUE(array->is_confined());
        }
    }

    static void expect_near(const DeviceArray& array, const Values& expected, double magnitude) {
        const Values actual = array.values();
        ASSERT_EQ(actual.size(), expected.size());
        const double unit = rounding_unit(type()) + 1e-5;
        for (std::size_t i = 0; i < actual.size(); ++i) {
            ASSERT_NEAR(actual[i], expected[i], magnitude * unit) << "element " << i;
        }
    }
};

double at(const Values& matrix, std::int64_t columns, std::int64_t row, std::int64_t column) {
    return matrix[static_cast<std::size_t>(row * columns + column)];
}

Values blank_values(std::int64_t elements) {
    return Values(static_cast<std::size_t>(elements));
}

TEST_P(RoutingOnGpu, router) {
    const auto [tokens, experts, slots, top_k, offset] = shape();
    const std::int64_t k = std::min(top_k, experts);
    const DeviceArray logits = filled(tokens * experts);
    const DeviceArray dweights = filled(tokens * k);
    const DeviceArray weights = blank(tokens * k);
    const DeviceArray dlogits = blank(tokens * experts);
    run(router_forward, tokens, experts, {&logits}, {&weights});
    run(router_backward, tokens, experts, {&logits, &dweights}, {&dlogits});
    const Values l = logits.values();
    const Values d = dweights.values();
    Values expected = blank_values(tokens * k);
    Values expected_back = blank_values(tokens * experts);
    for (std::int64_t token = 0; token < tokens; ++token) {
        std::vector<std::int64_t> order(static_cast<std::size_t>(experts));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
            return at(l, experts, token, a) > at(l, experts, token, b);
        });
        double sum = 0;
        double mean = 0;
        for (std::int64_t j = 0; j < k; ++j) {
            sum += std::exp(at(l, experts, token, order[static_cast<std::size_t>(j)]));
        }
        const auto weight = [&](std::int64_t j) {
            return std::exp(at(l, experts, token, order[static_cast<std::size_t>(j)])) / sum;
        };
        for (std::int64_t j = 0; j < k; ++j) {
            expected[static_cast<std::size_t>(token * k + j)] = weight(j);
            mean += weight(j) * at(d, k, token, j);
        }
        for (std::int64_t j = 0; j < k; ++j) {
            const std::int64_t expert = order[static_cast<std::size_t>(j)];
            expected_back[static_cast<std::size_t>(token * experts + expert)] =
                weight(j) * (at(d, k, token, j) - mean);
        }
    }
    expect_near(weights, expected, 1);
    expect_near(dlogits, expected_back, 8);
}

TEST_P(RoutingOnGpu, permutation) {
    const auto [tokens, columns, slots, top_k, offset] = shape();
    const DeviceArray x = filled(tokens * columns);
    const DeviceArray dy = filled(slots * columns);
    const DeviceArray y = blank(slots * columns);
    const DeviceArray dx = blank(tokens * columns);
    run(permute_forward, tokens, columns, {&x}, {&y});
    run(permute_backward, tokens, columns, {&dy}, {&dx});
    const Values from = x.values();
    const Values d = dy.values();
    Values expected = blank_values(slots * columns);
    Values expected_back = blank_values(tokens * columns);
    for (std::int64_t slot = 0; slot < slots; ++slot) {
        for (std::int64_t c = 0; c < columns; ++c) {
            expected[static_cast<std::size_t>(slot * columns + c)] =
                at(from, columns, slot % tokens, c);
            expected_back[static_cast<std::size_t>(slot % tokens * columns + c)] +=
                at(d, columns, slot, c);
        }
    }
    expect_near(y, expected, 0);
    expect_near(dx, expected_back, 16);
}

TEST_P(RoutingOnGpu, unpermutation) {
    const auto [tokens, columns, slots, top_k, offset] = shape();
    const DeviceArray y = filled(slots * columns);
    const DeviceArray weights = filled(tokens * top_k);
    const DeviceArray dz = filled(tokens * columns);
    const DeviceArray z = blank(tokens * columns);
    const DeviceArray dy = blank(slots * columns);
    const DeviceArray dweights = blank(tokens * top_k);
    run(unpermute_forward, tokens, columns, {&y, &weights}, {&z});
    run(unpermute_backward, tokens, columns, {&dz, &y, &weights}, {&dy, &dweights});
    const Values from = y.values();
    const Values w = weights.values();
    const Values d = dz.values();
    Values expected = blank_values(tokens * columns);
    Values expected_dy = blank_values(slots * columns);
    Values expected_dweights = blank_values(tokens * top_k);
    for (std::int64_t slot = 0; slot < std::min(slots, top_k * tokens); ++slot) {
        const std::int64_t token = slot % tokens;
        const std::int64_t j = slot / tokens;
        for (std::int64_t c = 0; c < columns; ++c) {
            const auto home = static_cast<std::size_t>(token * columns + c);
            expected[home] += at(w, top_k, token, j) * at(from, columns, slot, c);
            expected_dy[static_cast<std::size_t>(slot * columns + c)] =
                at(w, top_k, token, j) * d[home];
            expected_dweights[static_cast<std::size_t>(token * top_k + j)] +=
                d[home] * at(from, columns, slot, c);
        }
    }
    expect_near(z, expected, 32);
    expect_near(dy, expected_dy, 16);
    expect_near(dweights, expected_dweights, 8 * std::sqrt(static_cast<double>(columns)));
}

/// More parts than one launch takes, of unequal sizes.
TEST_P(RoutingOnGpu, concatenation) {
    std::vector<DeviceArray> parts;
    Values expected;
    for (std::int64_t i = 0; i < 70; ++i) {
        parts.push_back(filled(1 + i % 7 * shape().columns));
        const Values values = parts.back().values();
        expected.insert(expected.end(), values.begin(), values.end());
    }
    std::vector<const DeviceArray*> reads;
    for (const DeviceArray& part : parts) {
        reads.push_back(&part);
    }
    const auto elements = static_cast<std::int64_t>(expected.size());
    const DeviceArray whole = blank(elements);
    run(concatenate, 1, elements, reads, {&whole});
    expect_near(whole, expected, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    RoutingOnGpu,
    testing::Combine(testing::Values(DType::fp32, DType::bf16, DType::fp16),
                     testing::Values(Shape{96, 512, 192, 2, 0},     // dropless
                                     Shape{96, 512, 250, 2, 0},     // padded
                                     Shape{96, 500, 150, 2, 1},     // dropped, nothing aligned
                                     Shape{33, 40, 20, 8, 3},       // fewer slots than tokens
                                     Shape{1, 4096, 32, 32, 0})));  // a weight for every lane

}  // namespace
}  // namespace traindyno
