// SPDX-License-Identifier: Apache-2.0
// Every element-wise kind against its formula in double precision, in fp32 and bf16.
#include "emulator/device/cpu/kernels.hpp"

#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/elementwise_check.hpp"
#include "emulator/device/random_values.hpp"
#include "tests/unit/device/activation_formulas.hpp"

namespace traindyno {
namespace {

using Values = std::vector<double>;

/// An operand with its own memory.
class Array {
  public:
    Array(std::int64_t elements, DType dtype)
        : elements_(elements),
          dtype_(dtype),
          bytes_(static_cast<std::size_t>(elements * element_size(dtype))) {}

    [[nodiscard]] Operand operand() {
        return {.data = bytes_.data(), .elements = elements_, .dtype = dtype_};
    }

    void set(std::int64_t i, double value) {
        if (dtype_ == DType::bf16) {
            store(operand().as<Bf16>()[i], static_cast<float>(value));
        } else {
            operand().as<float>()[i] = static_cast<float>(value);
        }
    }

    [[nodiscard]] Values values() {
        Values result;
        for (std::int64_t i = 0; i < elements_; ++i) {
            result.push_back(static_cast<double>(
                dtype_ == DType::bf16 ? load(operand().as<Bf16>()[i]) : operand().as<float>()[i]));
        }
        return result;
    }

  private:
    std::int64_t elements_;
    DType dtype_;
    std::vector<std::byte> bytes_;
};

constexpr std::uint32_t seed = 11;

class Kernels : public testing::TestWithParam<DType> {
  protected:
    [[nodiscard]] Array random(std::int64_t elements, std::uint32_t stream) const {
        Array array(elements, GetParam());
        fill_random(team_, array.operand(), 1.0F, stream);
        return array;
    }

    [[nodiscard]] Array blank(std::int64_t elements) const { return {elements, GetParam()}; }

    void run(ElementwiseKind kind,
             std::int64_t rows,
             std::int64_t columns,
             std::vector<Array*> reads,
             std::vector<Array*> writes) {
        Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
        std::vector<Operand> from;
        std::vector<Operand> to;
        for (Array* array : reads) {
            from.push_back(array->operand());
            op.reads.push_back({.elements = array->operand().elements});
        }
        for (Array* array : writes) {
            to.push_back(array->operand());
            op.writes.push_back({.elements = array->operand().elements});
        }
        EXPECT_EQ(problems_of(op), std::vector<std::string>{});
        std::vector<float> scratch(static_cast<std::size_t>(scratch_elements(op, team_.threads())));
        run_elementwise(op, from, to, {.team = &team_, .scratch = scratch, .seed = seed});
    }

    /// Largest |actual - expected| allowed: rounding of the result in the precision, for values up
    /// to `magnitude`.
    [[nodiscard]] static double rounding(double magnitude) {
        return magnitude * (GetParam() == DType::bf16 ? 1.0 / 128 : 1e-5);
    }

    static void expect_near(const Values& actual, const Values& expected, double tolerance) {
        ASSERT_EQ(actual.size(), expected.size());
        for (std::size_t i = 0; i < actual.size(); ++i) {
            ASSERT_NEAR(actual[i], expected[i], tolerance) << i;
        }
    }

    Team team_{allowed_cores(), 2};
};

constexpr std::int64_t rows = 96;  // with 512 columns: more than the kernels run serially
constexpr std::int64_t columns = 512;

Values mapped(const Values& x, const std::function<double(double)>& f) {
    Values y;
    for (const double value : x) {
        y.push_back(f(value));
    }
    return y;
}

Values row_of(const Values& all, std::size_t row, std::size_t n) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * n);
    return {begin, begin + static_cast<std::ptrdiff_t>(n)};
}

TEST_P(Kernels, bias_add_adds_the_bias_to_each_row) {
    Array x = random(rows * columns, 1);
    Array bias = random(columns, 2);
    Values expected = x.values();
    const Values b = bias.values();
    for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += b[i % columns];
    }
    run(ElementwiseKind::bias_add, rows, columns, {&x, &bias}, {&x});
    expect_near(x.values(), expected, rounding(7));
}

TEST_P(Kernels, bias_gradient_adds_the_sum_over_rows) {
    Array dy = random(rows * columns, 1);
    Array gradient(columns, DType::fp32);
    gradient.set(3, 100);
    Values expected(columns);
    expected[3] = 100;
    const Values d = dy.values();
    for (std::size_t i = 0; i < d.size(); ++i) {
        expected[i % columns] += d[i];
    }
    run(ElementwiseKind::bias_gradient, rows, columns, {&dy}, {&gradient});
    expect_near(gradient.values(), expected, 1e-3);
}

TEST_P(Kernels, gelu_is_the_tanh_formula) {
    Array x = random(rows * columns, 1);
    Array y = blank(rows * columns);
    run(ElementwiseKind::gelu_forward, rows, columns, {&x}, {&y});
    expect_near(y.values(), mapped(x.values(), gelu_of), rounding(4));
}

TEST_P(Kernels, gelu_backward_is_its_slope) {
    Array x = random(rows * columns, 1);
    Array dy = random(rows * columns, 2);
    Array dx = blank(rows * columns);
    run(ElementwiseKind::gelu_backward, rows, columns, {&x, &dy}, {&dx});
    const Values d = dy.values();
    Values expected = mapped(x.values(), [](double v) { return slope(gelu_of, v); });
    for (std::size_t i = 0; i < d.size(); ++i) {
        expected[i] *= d[i];
    }
    expect_near(dx.values(), expected, rounding(4));
}

TEST_P(Kernels, swiglu_gates_the_upper_half_of_each_row) {
    constexpr std::int64_t f = columns / 2;
    Array x = random(rows * columns, 1);
    Array dy = random(rows * f, 2);
    Array y = blank(rows * f);
    Array dx = blank(rows * columns);
    run(ElementwiseKind::swiglu_forward, rows, f, {&x}, {&y});
    run(ElementwiseKind::swiglu_backward, rows, f, {&x, &dy}, {&dx});
    const Values v = x.values();
    const Values d = dy.values();
    Values expected_y(static_cast<std::size_t>(rows * f));
    Values expected_dx(v.size());
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t c = 0; c < f; ++c) {
            const double gate = v[row * columns + c];
            const double up = v[row * columns + f + c];
            expected_y[row * f + c] = silu_of(gate) * up;
            expected_dx[row * columns + c] = d[row * f + c] * up * slope(silu_of, gate);
            expected_dx[row * columns + f + c] = d[row * f + c] * silu_of(gate);
        }
    }
    expect_near(y.values(), expected_y, rounding(12));
    expect_near(dx.values(), expected_dx, rounding(12));
}

TEST_P(Kernels, residual_add_adds) {
    Array x = random(rows * columns, 1);
    Array y = random(rows * columns, 2);
    Array z = blank(rows * columns);
    run(ElementwiseKind::residual_add, rows, columns, {&x, &y}, {&z});
    Values expected = x.values();
    const Values other = y.values();
    for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += other[i];
    }
    expect_near(z.values(), expected, rounding(7));
}

TEST_P(Kernels, rotary_keeps_lengths_turns_by_the_row_and_is_undone_by_its_gradient) {
    Array x = random(rows * columns, 1);
    const Values before = x.values();
    run(ElementwiseKind::rotary_forward, rows, columns, {&x}, {&x});
    const Values after = x.values();
    for (std::size_t row = 0; row < rows; ++row) {
        const std::size_t i = row * columns;
        const double angle = static_cast<double>(row);  // frequency 1 for the first pair
        EXPECT_NEAR(
            after[i], before[i] * std::cos(angle) - before[i + 32] * std::sin(angle), rounding(5));
        EXPECT_NEAR(after[i + 32],
                    before[i] * std::sin(angle) + before[i + 32] * std::cos(angle),
                    rounding(5));
    }
    run(ElementwiseKind::rotary_backward, rows, columns, {&x}, {&x});
    expect_near(x.values(), before, rounding(8));
}

TEST_P(Kernels, rotary_leaves_the_values_beyond_its_columns_alone) {
    Array x = random(rows * columns, 1);
    const Values before = x.values();
    run(ElementwiseKind::rotary_forward, rows, columns - 128, {&x}, {&x});
    const Values after = x.values();
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t c = columns - 128; c < columns; ++c) {
            EXPECT_EQ(after[row * columns + c], before[row * columns + c]);
        }
        EXPECT_EQ(row_of(after, row, columns) == row_of(before, row, columns), row == 0) << row;
    }
}

/// y of one row; weights are scale and shift, or for RMS norm the scale alone.
Values norm_row(const Values& x, const Values& weights) {
    const std::size_t n = x.size();
    const bool centered = weights.size() == 2 * n;
    const double count = static_cast<double>(n);
    const double mean = centered ? std::accumulate(x.begin(), x.end(), 0.0) / count : 0;
    double squares = 0;
    for (const double v : x) {
        squares += (v - mean) * (v - mean);
    }
    Values y;
    for (std::size_t c = 0; c < n; ++c) {
        y.push_back((x[c] - mean) / std::sqrt(squares / count + 1e-5) * weights[c] +
                    (centered ? weights[n + c] : 0));
    }
    return y;
}

TEST_P(Kernels, norm_forward_is_layer_norm_with_a_shift_and_rms_norm_without) {
    Array x = random(rows * columns, 1);
    Array y = blank(rows * columns);
    for (const std::int64_t size : {2 * columns, columns}) {
        Array weights = random(size, 2);
        run(ElementwiseKind::norm_forward, rows, columns, {&x, &weights}, {&y});
        const Values from = x.values();
        const Values to = y.values();
        for (std::size_t row = 0; row < rows; ++row) {
            expect_near(row_of(to, row, columns),
                        norm_row(row_of(from, row, columns), weights.values()),
                        rounding(16));
        }
    }
}

/// Slope of `f` in each element of `at`.
Values numerical_gradient(Values at, const std::function<double(const Values&)>& f) {
    constexpr double step = 1e-4;
    Values gradient;
    for (double& value : at) {
        const double before = value;
        value = before + step;
        const double up = f(at);
        value = before - step;
        gradient.push_back((up - f(at)) / (2 * step));
        value = before;
    }
    return gradient;
}

TEST_P(Kernels, norm_backward_is_the_gradient_of_norm_forward) {
    constexpr std::int64_t few = 3;
    constexpr std::int64_t width = 40;
    Array x = random(few * width, 1);
    Array dy = random(few * width, 2);
    for (const std::int64_t size : {2 * width, width}) {
        Array weights = random(size, 3);
        Array dx = blank(few * width);
        Array d_weights(size, DType::fp32);
        run(ElementwiseKind::norm_backward, few, width, {&x, &dy, &weights}, {&dx, &d_weights});
        const Values d = dy.values();
        const auto loss = [&](const Values& at_x, const Values& at_weights) {  // <dy, y>
            double sum = 0;
            for (std::size_t row = 0; row < few; ++row) {
                const Values y = norm_row(row_of(at_x, row, width), at_weights);
                for (std::size_t c = 0; c < width; ++c) {
                    sum += y[c] * d[row * width + c];
                }
            }
            return sum;
        };
        const Values vx = x.values();
        const Values vw = weights.values();
        expect_near(dx.values(),
                    numerical_gradient(vx, [&](const Values& at) { return loss(at, vw); }),
                    rounding(16));
        expect_near(d_weights.values(),
                    numerical_gradient(vw, [&](const Values& at) { return loss(vx, at); }),
                    1e-4);
    }
}

TEST_P(Kernels, norm_backward_adds_to_weight_gradients_from_all_threads) {
    Array x = random(rows * columns, 1);
    Array dy = random(rows * columns, 2);
    Array weights = random(2 * columns, 3);
    Array dx = blank(rows * columns);
    Array d_weights(2 * columns, DType::fp32);
    Values sums(columns);
    const Values d = dy.values();
    for (std::size_t i = 0; i < d.size(); ++i) {
        sums[i % columns] += 2 * d[i];
    }
    for (int i = 0; i < 2; ++i) {
        run(ElementwiseKind::norm_backward, rows, columns, {&x, &dy, &weights}, {&dx, &d_weights});
    }
    const Values actual = d_weights.values();
    expect_near({actual.begin() + columns, actual.end()}, sums, 1e-3);
}

TEST_P(Kernels, cross_entropy_replaces_logits_by_their_gradient_and_reports_the_mean_loss) {
    Array logits = random(rows * columns, 1);
    const Values before = logits.values();
    Array loss(1, DType::fp32);
    run(ElementwiseKind::cross_entropy, rows, columns, {&logits}, {&logits, &loss});
    const Values after = logits.values();
    double expected_loss = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        const Values x = row_of(before, row, columns);
        double sum = 0;
        for (const double v : x) {
            sum += std::exp(v);
        }
        // The gradient is softmax / rows but for the target, which the kernel chooses.
        std::size_t targets = 0;
        for (std::size_t c = 0; c < columns; ++c) {
            const double softmax = std::exp(x[c]) / sum;
            const double gradient = after[row * columns + c] * rows;
            if (gradient < 0) {
                ++targets;
                EXPECT_NEAR(gradient, softmax - 1, rounding(1));
                expected_loss -= std::log(softmax) / rows;
            } else {
                ASSERT_NEAR(gradient, softmax, rounding(0.2));
            }
        }
        EXPECT_EQ(targets, 1U);
    }
    EXPECT_NEAR(loss.values()[0], expected_loss, 1e-4);
}

TEST_P(Kernels, embedding_gathers_what_its_gradient_scatters) {
    constexpr std::int64_t vocab = 50;
    constexpr std::int64_t seq = 24;  // rows hold 4 sequences
    Array table = random(vocab * columns, 1);
    Array positions = random(seq * columns, 2);
    Array out = blank(rows * columns);
    Array d = random(rows * columns, 3);
    Array d_table(vocab * columns, DType::fp32);
    Array d_positions(seq * columns, DType::fp32);
    run(ElementwiseKind::embedding_forward, rows, columns, {&table, &positions}, {&out});
    run(ElementwiseKind::embedding_backward, rows, columns, {&d}, {&d_table, &d_positions});
    const Values from = table.values();
    const Values place = positions.values();
    const Values gradient = d.values();
    Values expected(static_cast<std::size_t>(rows * columns));
    Values expected_table(static_cast<std::size_t>(vocab * columns));
    Values expected_positions(static_cast<std::size_t>(seq * columns));
    for (std::size_t row = 0; row < rows; ++row) {
        const auto token =
            static_cast<std::size_t>(token_of(seed, static_cast<std::int64_t>(row), vocab));
        ASSERT_LT(token, static_cast<std::size_t>(vocab));
        for (std::size_t c = 0; c < columns; ++c) {
            expected[row * columns + c] =
                from[token * columns + c] + place[row % seq * columns + c];
            expected_table[token * columns + c] += gradient[row * columns + c];
            expected_positions[row % seq * columns + c] += gradient[row * columns + c];
        }
    }
    expect_near(out.values(), expected, rounding(7));
    expect_near(d_table.values(), expected_table, 1e-4);
    expect_near(d_positions.values(), expected_positions, 1e-4);
}

TEST_P(Kernels, zero_clears_everything) {
    Array x = random(100'003, 1);
    run(ElementwiseKind::zero, 1, 100'003, {}, {&x});
    EXPECT_EQ(x.values(), Values(100'003));
}

TEST_P(Kernels, copy_copies) {
    Array x = random(100'003, 1);
    Array y = random(100'003, 2);
    run(ElementwiseKind::copy, 1, 100'003, {&x}, {&y});
    EXPECT_EQ(y.values(), x.values());
}

TEST_P(Kernels, sum_of_squares_and_scale_clip_to_norm_one) {
    Array x = random(100'003, 1);
    const Values before = x.values();
    Array sum(1, DType::fp32);
    sum.set(0, 5);  // overwritten
    const double expected = std::inner_product(before.begin(), before.end(), before.begin(), 0.0);
    run(ElementwiseKind::sum_of_squares, 1, 100'003, {&x}, {&sum});
    EXPECT_NEAR(sum.values()[0] / expected, 1, 1e-5);
    run(ElementwiseKind::scale, 1, 100'003, {&x, &sum}, {&x});
    expect_near(x.values(),
                mapped(before, [&](double v) { return v / std::sqrt(expected); }),
                rounding(0.02));
    const Values clipped = x.values();
    sum.set(0, 0.5);  // a norm below one
    run(ElementwiseKind::scale, 1, 100'003, {&x, &sum}, {&x});
    EXPECT_EQ(x.values(), clipped);
}

TEST_P(Kernels, sum_of_squares_adds_to_what_other_pieces_came_to) {
    Array x = random(50'001, 1);
    Array sum(1, DType::fp32);
    run(ElementwiseKind::sum_of_squares, 1, 50'001, {&x}, {&sum});
    const double once = sum.values()[0];
    run(ElementwiseKind::sum_of_squares, 1, 50'001, {&x, &sum}, {&sum});
    EXPECT_NEAR(sum.values()[0] / once, 2, 1e-6);
}

TEST_P(Kernels, gradient_add_adds_in_place) {
    Array kept = random(50'001, 1);
    Array more = random(50'001, 2);
    Values expected = kept.values();
    const Values added = more.values();
    for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += added[i];
    }
    run(ElementwiseKind::gradient_add, 1, 50'001, {&kept, &more}, {&kept});
    expect_near(kept.values(), expected, rounding(7));
}

/// Beside activations of the same type: what fp32 gradients get, rounded once more.
TEST_P(Kernels, gradients_accumulate_in_their_own_type) {
    Array dy = random(rows * columns, 1);
    Array x = random(rows * columns, 2);
    Array dx = blank(rows * columns);
    Array scale = random(columns, 3);
    const auto gradients = [&](DType type) {
        std::vector<Array> found{
            Array(columns, type), Array(columns, type), Array(100 * columns, type)};
        found[0].set(3, 100);
        run(ElementwiseKind::bias_gradient, rows, columns, {&dy}, {&found[0]});
        run(ElementwiseKind::norm_backward, rows, columns, {&x, &dy, &scale}, {&dx, &found[1]});
        run(ElementwiseKind::embedding_backward, rows, columns, {&dy}, {&found[2]});
        Values all;
        for (Array& array : found) {
            const Values values = array.values();
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    };
    expect_near(gradients(GetParam()), gradients(DType::fp32), rounding(100));
}

TEST_P(Kernels, adam_takes_gradients_in_the_type_of_the_weights) {
    constexpr std::int64_t n = 50'001;
    Array weight = random(n, 1);
    const auto moments = [&](DType type) {
        Array gradient(n, type);
        for (std::int64_t i = 0; i < n; ++i) {
            gradient.set(i, i % 2 == 0 ? 2.0 : -0.5);  // exact in every type
        }
        std::vector<float> state(3 * n);
        adam(team_,
             {.weight = weight.operand(),
              .gradient = gradient.operand(),
              .master = state.data(),
              .m = state.data() + n,
              .v = state.data() + 2 * n});
        return state;
    };
    EXPECT_EQ(moments(GetParam()), moments(DType::fp32));
}

TEST_P(Kernels, random_values_of_a_part_are_those_of_the_whole_array) {
    Array whole = random(70'000, 5);
    Array part = blank(20'000);
    fill_random(team_, part.operand(), 1.0F, 5, 50'000);
    const Values values = whole.values();
    EXPECT_EQ(part.values(), Values(values.begin() + 50'000, values.end()));
}

TEST_P(Kernels, adam_moves_against_the_gradient_by_its_formula) {
    constexpr std::int64_t n = 50'001;
    Array weight = random(n, 1);
    std::vector<float> gradient(n);
    std::vector<float> master(n, 1.0F);
    std::vector<float> m(n);
    std::vector<float> v(n);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] = i % 2 == 0 ? 2.0F : -2.0F;
    }
    for (int step = 1; step <= 3; ++step) {
        adam(team_,
             {.weight = weight.operand(),
              .gradient = {.data = reinterpret_cast<std::byte*>(gradient.data()), .elements = n},
              .master = master.data(),
              .m = m.data(),
              .v = v.data()});
    }
    const double m3 = 2 * (1 - std::pow(0.9, 3));  // geometric series of a constant gradient
    const double v3 = 4 * (1 - std::pow(0.95, 3));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        const double sign = i % 2 == 0 ? 1 : -1;
        ASSERT_NEAR(static_cast<double>(m[i]), sign * m3, 1e-5);
        ASSERT_NEAR(static_cast<double>(v[i]), v3, 1e-5);
        ASSERT_EQ(master[i] < 1.0F, i % 2 == 0);
    }
    expect_near(weight.values(), Values(n, 1.0), 1.0 / 128);
}

TEST_P(Kernels, random_values_have_the_mean_and_deviation_of_a_normal_distribution) {
    const Values x = random(200'000, 5).values();
    double sum = 0;
    double squares = 0;
    double fourth = 0;
    double neighbours = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        sum += x[i];
        squares += x[i] * x[i];
        fourth += std::pow(x[i], 4);
        neighbours += i == 0 ? 0 : x[i] * x[i - 1];
    }
    const double n = static_cast<double>(x.size());
    EXPECT_NEAR(sum / n, 0, 0.01);
    EXPECT_NEAR(squares / n, 1, 0.01);
    EXPECT_NEAR(fourth / n, 2.7, 0.05);  // 3 - 6/5/4: Irwin-Hall of 4
    EXPECT_NEAR(neighbours / n, 0, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Types,
                         Kernels,
                         testing::Values(DType::fp32, DType::bf16),
                         [](const auto& param) { return std::string(to_string(param.param)); });

TEST(FastExp, is_exact_to_a_few_units_in_the_last_place) {
    for (double x = -86.5; x < 88; x += 0.0137) {
        const auto given = static_cast<float>(x);
        const double expected = std::exp(static_cast<double>(given));
        ASSERT_NEAR(static_cast<double>(fast_exp(given)) / expected, 1, 3e-7) << x;
    }
    EXPECT_LT(fast_exp(-1e30F), 1e-37F);
    EXPECT_TRUE(std::isfinite(fast_exp(1e30F)));
}

TEST(Bf16, rounds_to_nearest_even) {
    const auto rounded = [](float value) {
        Bf16 result;
        store(result, value);
        return load(result);
    };
    EXPECT_EQ(rounded(1.0F), 1.0F);
    EXPECT_EQ(rounded(1.0F + 1.0F / 256), 1.0F);  // half way: to the even neighbour
    EXPECT_EQ(rounded(1.0F + 3.0F / 256), 1.0F + 4.0F / 256);
    EXPECT_EQ(rounded(1.0F + 1.1F / 256), 1.0F + 2.0F / 256);
    EXPECT_EQ(rounded(-0.0F), 0.0F);
}

TEST(Elementwise, names_operands_that_do_not_fit_the_kind) {
    const Elementwise op{.kind = ElementwiseKind::bias_add,
                         .rows = 4,
                         .columns = 8,
                         .reads = {{.elements = 32}, {.elements = 9}},
                         .writes = {{.elements = 32}, {.elements = 1}}};
    EXPECT_EQ(problems_of(op),
              (std::vector<std::string>{"reads[1] has 9 elements instead of 8",
                                        "2 writes instead of 1"}));
}

TEST(TokenOf, covers_the_vocabulary) {
    std::vector<int> count(10);
    for (std::int64_t row = 0; row < 10'000; ++row) {
        ++count[static_cast<std::size_t>(token_of(1, row, 10))];
    }
    for (const int c : count) {
        EXPECT_NEAR(c, 1000, 150);
    }
}

}  // namespace
}  // namespace traindyno
