// SPDX-License-Identifier: Apache-2.0
// Routers, permutations and concatenation on the CPU against references in double precision.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/elementwise_check.hpp"

namespace traindyno {
namespace {

using Values = std::vector<double>;
using enum ElementwiseKind;

struct Shape {
    std::int64_t tokens = 0;
    std::int64_t columns = 0;
    std::int64_t slots = 0;
    std::int64_t top_k = 0;
};

/// Dropless, padded beyond the second round, tokens dropped in the second round and in the first.
constexpr std::array shapes{
    Shape{96, 512, 192, 2}, Shape{96, 512, 250, 2}, Shape{96, 500, 150, 2}, Shape{33, 20, 20, 1}};

class Routing : public testing::TestWithParam<DType> {
  protected:
    [[nodiscard]] Values random(std::int64_t elements, std::uint32_t seed) const {
        std::vector<std::byte> bytes(bytes_of(elements));
        fill_random(team_, operand(bytes, elements), 1.0F, seed);
        return values(bytes, elements);
    }

    /// The result in place of a vector of `elements`; several results follow one another.
    std::vector<Values> run(ElementwiseKind kind,
                            std::int64_t rows,
                            std::int64_t columns,
                            const std::vector<Values>& reads,
                            const std::vector<std::int64_t>& writes) const {
        Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
        std::vector<std::vector<std::byte>> memory;
        std::vector<Operand> from;
        std::vector<Operand> to;
        memory.reserve(reads.size() + writes.size());
        for (const Values& read : reads) {
            const auto elements = static_cast<std::int64_t>(read.size());
            op.reads.push_back({.elements = elements});
            from.push_back(operand(memory.emplace_back(stored(read)), elements));
        }
        for (const std::int64_t elements : writes) {
            op.writes.push_back({.elements = elements});
            const Values garbage(static_cast<std::size_t>(elements), 1e3);
            to.push_back(operand(memory.emplace_back(stored(garbage)), elements));
        }
        EXPECT_EQ(problems_of(op), std::vector<std::string>{});
        std::vector<float> scratch(static_cast<std::size_t>(scratch_elements(op, team_.threads())));
        run_elementwise(op, from, to, {.team = &team_, .scratch = scratch, .seed = 1});
        std::vector<Values> results;
        for (std::size_t i = 0; i < writes.size(); ++i) {
            results.push_back(values(memory[reads.size() + i], writes[i]));
        }
        return results;
    }

    void expect_near(const Values& actual, const Values& expected, double magnitude) const {
        const double tolerance = magnitude * (GetParam() == DType::bf16 ? 1.0 / 128 : 1e-5);
        ASSERT_EQ(actual.size(), expected.size());
        for (std::size_t i = 0; i < actual.size(); ++i) {
            ASSERT_NEAR(actual[i], expected[i], tolerance) << i;
        }
    }

  private:
    [[nodiscard]] std::size_t bytes_of(std::int64_t elements) const {
        return static_cast<std::size_t>(elements * element_size(GetParam()));
    }

    [[nodiscard]] Operand operand(std::vector<std::byte>& bytes, std::int64_t elements) const {
        return {.data = bytes.data(), .elements = elements, .dtype = GetParam()};
    }

    [[nodiscard]] std::vector<std::byte> stored(const Values& list) const {
        const auto elements = static_cast<std::int64_t>(list.size());
        std::vector<std::byte> bytes(bytes_of(elements));
        const Operand to = operand(bytes, elements);
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (GetParam() == DType::bf16) {
                store(to.as<Bf16>()[i], static_cast<float>(list[i]));
            } else {
                to.as<float>()[i] = static_cast<float>(list[i]);
            }
        }
        return bytes;
    }

    [[nodiscard]] Values values(std::vector<std::byte>& bytes, std::int64_t elements) const {
        const Operand from = operand(bytes, elements);
        Values list;
        for (std::int64_t i = 0; i < elements; ++i) {
            list.push_back(static_cast<double>(GetParam() == DType::bf16 ? load(from.as<Bf16>()[i])
                                                                         : from.as<float>()[i]));
        }
        return list;
    }

    Team team_{allowed_cores(), 2};
};

double at(const Values& matrix, std::int64_t columns, std::int64_t row, std::int64_t column) {
    return matrix[static_cast<std::size_t>(row * columns + column)];
}

Values blank(std::int64_t elements) {
    return Values(static_cast<std::size_t>(elements));
}

/// Softmax over the k largest of a row's logits, and whose they are.
struct Chosen {
    std::vector<std::int64_t> experts;
    Values weights;
};

Chosen chosen(const Values& logits, std::int64_t experts, std::int64_t token, std::int64_t top_k) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        return at(logits, experts, token, a) > at(logits, experts, token, b);
    });
    order.resize(static_cast<std::size_t>(top_k));
    Values weights;
    for (const std::int64_t expert : order) {
        weights.push_back(std::exp(at(logits, experts, token, expert)));
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) {
        weight /= sum;
    }
    return {.experts = order, .weights = weights};
}

TEST_P(Routing, router_takes_the_softmax_over_the_largest_logits) {
    for (const std::int64_t top_k : {1, 2, 8}) {
        const Values logits = random(70 * 16, 3);
        Values expected;
        for (std::int64_t token = 0; token < 70; ++token) {
            const Chosen choice = chosen(logits, 16, token, top_k);
            expected.insert(expected.end(), choice.weights.begin(), choice.weights.end());
        }
        expect_near(run(router_forward, 70, 16, {logits}, {70 * top_k})[0], expected, 1);
    }
}

TEST_P(Routing, router_passes_gradients_to_the_chosen_logits_alone) {
    for (const std::int64_t top_k : {1, 2, 8}) {
        const Values logits = random(70 * 16, 3);
        const Values dweights = random(70 * top_k, 4);
        Values expected = blank(70 * 16);
        for (std::int64_t token = 0; token < 70; ++token) {
            const Chosen choice = chosen(logits, 16, token, top_k);
            double mean = 0;
            for (std::int64_t j = 0; j < top_k; ++j) {
                mean += choice.weights[static_cast<std::size_t>(j)] * at(dweights, top_k, token, j);
            }
            for (std::int64_t j = 0; j < top_k; ++j) {
                const auto index = static_cast<std::size_t>(j);
                expected[static_cast<std::size_t>(token * 16 + choice.experts[index])] =
                    choice.weights[index] * (at(dweights, top_k, token, j) - mean);
            }
        }
        expect_near(run(router_backward, 70, 16, {logits, dweights}, {70 * 16})[0], expected, 4);
    }
}

TEST_P(Routing, router_puts_equal_logits_in_the_order_of_experts) {
    const Values logits{5, 5, 5, 5};
    expect_near(run(router_backward, 1, 4, {logits, {1, -1}}, {4})[0], {0.5, -0.5, 0, 0}, 1);
}

TEST_P(Routing, permutation_deals_tokens_to_slots) {
    for (const Shape& s : shapes) {
        const Values x = random(s.tokens * s.columns, 5);
        Values expected;
        for (std::int64_t slot = 0; slot < s.slots; ++slot) {
            for (std::int64_t c = 0; c < s.columns; ++c) {
                expected.push_back(at(x, s.columns, slot % s.tokens, c));
            }
        }
        expect_near(
            run(permute_forward, s.tokens, s.columns, {x}, {s.slots * s.columns})[0], expected, 0);
    }
}

TEST_P(Routing, permutation_backward_sums_over_slots) {
    for (const Shape& s : shapes) {
        const Values dy = random(s.slots * s.columns, 6);
        Values expected = blank(s.tokens * s.columns);
        for (std::int64_t slot = 0; slot < s.slots; ++slot) {
            for (std::int64_t c = 0; c < s.columns; ++c) {
                expected[static_cast<std::size_t>(slot % s.tokens * s.columns + c)] +=
                    at(dy, s.columns, slot, c);
            }
        }
        expect_near(run(permute_backward, s.tokens, s.columns, {dy}, {s.tokens * s.columns})[0],
                    expected,
                    8);
    }
}

TEST_P(Routing, unpermutation_weighs_the_slots_of_a_token) {
    for (const Shape& s : shapes) {
        const Values y = random(s.slots * s.columns, 7);
        const Values weights = random(s.tokens * s.top_k, 8);
        Values expected = blank(s.tokens * s.columns);
        for (std::int64_t slot = 0; slot < std::min(s.slots, s.top_k * s.tokens); ++slot) {
            const std::int64_t token = slot % s.tokens;
            for (std::int64_t c = 0; c < s.columns; ++c) {
                expected[static_cast<std::size_t>(token * s.columns + c)] +=
                    at(weights, s.top_k, token, slot / s.tokens) * at(y, s.columns, slot, c);
            }
        }
        expect_near(
            run(unpermute_forward, s.tokens, s.columns, {y, weights}, {s.tokens * s.columns})[0],
            expected,
            16);
    }
}

TEST_P(Routing, unpermutation_backward_reaches_slots_and_weights) {
    for (const Shape& s : shapes) {
        const Values dz = random(s.tokens * s.columns, 9);
        const Values y = random(s.slots * s.columns, 7);
        const Values weights = random(s.tokens * s.top_k, 8);
        Values dy = blank(s.slots * s.columns);
        Values dweights = blank(s.tokens * s.top_k);
        for (std::int64_t slot = 0; slot < std::min(s.slots, s.top_k * s.tokens); ++slot) {
            const std::int64_t token = slot % s.tokens;
            const std::int64_t j = slot / s.tokens;
            for (std::int64_t c = 0; c < s.columns; ++c) {
                const double d = at(dz, s.columns, token, c);
                dy[static_cast<std::size_t>(slot * s.columns + c)] =
                    at(weights, s.top_k, token, j) * d;
                dweights[static_cast<std::size_t>(token * s.top_k + j)] +=
                    d * at(y, s.columns, slot, c);
            }
        }
        const auto results = run(unpermute_backward,
                                 s.tokens,
                                 s.columns,
                                 {dz, y, weights},
                                 {s.slots * s.columns, s.tokens * s.top_k});
        expect_near(results[0], dy, 12);
        expect_near(results[1], dweights, 100);
    }
}

TEST_P(Routing, tokens_come_back_from_their_slots) {
    const Values x = random(96 * 512, 5);
    const Values y = run(permute_forward, 96, 512, {x}, {4 * 96 * 512})[0];
    const Values quarters(4 * 96, 0.25);
    expect_near(run(unpermute_forward, 96, 512, {y, quarters}, {96 * 512})[0], x, 1e-2);
}

TEST_P(Routing, concatenation_puts_parts_one_after_another) {
    const Values a = random(40'000, 1);
    const Values b = random(64, 2);
    const Values c = random(20'000, 3);
    Values expected = c;
    expected.insert(expected.end(), a.begin(), a.end());
    expected.insert(expected.end(), b.begin(), b.end());
    expect_near(run(concatenate, 1, 60'064, {c, a, b}, {60'064})[0], expected, 0);
}

INSTANTIATE_TEST_SUITE_P(Types,
                         Routing,
                         testing::Values(DType::fp32, DType::bf16),
                         [](const auto& type) { return std::string(to_string(type.param)); });

TEST(RoutingOperands, are_refused_where_they_do_not_fit) {
    const auto problems = [](ElementwiseKind kind,
                             std::vector<std::int64_t> reads,
                             std::vector<std::int64_t> writes) {
        Elementwise op{.kind = kind, .rows = 4, .columns = 8, .reads = {}, .writes = {}};
        for (const std::int64_t elements : reads) {
            op.reads.push_back({.elements = elements});
        }
        for (const std::int64_t elements : writes) {
            op.writes.push_back({.elements = elements});
        }
        return problems_of(op).size();
    };
    EXPECT_EQ(problems(router_forward, {32}, {8}), 0U);
    EXPECT_EQ(problems(router_forward, {32}, {9}), 1U);
    EXPECT_EQ(problems(router_forward, {32}, {36}), 1U);  // more than there are
    EXPECT_EQ(problems(router_backward, {32, 8}, {31}), 1U);
    EXPECT_EQ(problems(permute_forward, {32}, {72}), 0U);
    EXPECT_EQ(problems(permute_forward, {32}, {71}), 1U);
    EXPECT_EQ(problems(permute_backward, {71}, {32}), 1U);
    EXPECT_EQ(problems(unpermute_forward, {72, 8}, {32}), 0U);
    EXPECT_EQ(problems(unpermute_forward, {72, 7}, {32}), 1U);
    EXPECT_EQ(problems(unpermute_backward, {32, 72, 8}, {72, 8}), 0U);
    EXPECT_EQ(problems(unpermute_backward, {32, 72, 8}, {64, 4}), 2U);
    EXPECT_EQ(problems(concatenate, {16, 10, 6}, {32}), 0U);
    EXPECT_EQ(problems(concatenate, {16, 10}, {32}), 1U);
}

}  // namespace
}  // namespace traindyno
