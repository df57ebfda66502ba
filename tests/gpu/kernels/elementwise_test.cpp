// SPDX-License-Identifier: Apache-2.0
// Every element-wise kind on the device against its formula in fp64: all types, odd sizes and
// addresses, outputs that begin as NaNs, guards around every operand.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/elementwise_check.hpp"
#include "emulator/device/random_values.hpp"
#include "tests/gpu/kernels/device_array.hpp"
#include "tests/gpu/kernels/reference.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno {
namespace {

using enum ElementwiseKind;

struct Shape {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t offset = 0;  ///< of every operand, in elements
};

constexpr std::uint32_t token_seed = 11;
constexpr double arithmetic = 1e-5;  // error of fp32 sums and functions, relative to the largest

class ElementwiseOnGpu : public testing::TestWithParam<std::tuple<DType, Shape>> {
  protected:
    void SetUp() override {
        TD_REQUIRE_GPU();
        const unsigned seed = std::random_device{}();
        RecordProperty("seed", fmt::to_string(seed));
        generator_.seed(seed);
        fmt::print("seed {}\n", seed);
        stream_ = make_stream();
        TD_CUDA(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, 0));
    }

    [[nodiscard]] static DType type() { return std::get<0>(GetParam()); }

    [[nodiscard]] static std::int64_t rows() { return std::get<1>(GetParam()).rows; }

    [[nodiscard]] static std::int64_t columns() { return std::get<1>(GetParam()).columns; }

    [[nodiscard]] static std::int64_t all() { return rows() * columns(); }

    [[nodiscard]] DeviceArray& blank(std::int64_t elements, DType dtype) {
        arrays_.push_back(
            std::make_unique<DeviceArray>(elements, dtype, std::get<1>(GetParam()).offset));
        return *arrays_.back();
    }

    [[nodiscard]] DeviceArray& blank(std::int64_t elements) { return blank(elements, type()); }

    [[nodiscard]] DeviceArray& filled(std::int64_t elements,
                                      double mean = 0,
                                      double deviation = 1) {
        DeviceArray& array = blank(elements);
        array.set(normal(elements, mean, deviation));
        return array;
    }

    /// Types of main gradients beside activations in type().
    [[nodiscard]] static std::vector<DType> gradient_types() {
        return type() == DType::bf16 ? std::vector{DType::fp32, DType::bf16}
                                     : std::vector{DType::fp32};
    }

    /// With something to add to.
    [[nodiscard]] DeviceArray& gradient(std::int64_t elements, DType dtype) {
        DeviceArray& array = blank(elements, dtype);
        array.set(normal(elements, 0, 1));
        return array;
    }

    [[nodiscard]] Values normal(std::int64_t elements, double mean, double deviation) {
        std::normal_distribution<double> distribution(mean, deviation);
        Values values(static_cast<std::size_t>(elements));
        std::generate(values.begin(), values.end(), [&] { return distribution(generator_); });
        return values;
    }

    void run(ElementwiseKind kind,
             std::int64_t op_columns,
             std::initializer_list<const DeviceArray*> reads,
             std::initializer_list<const DeviceArray*> writes) {
        Elementwise op{
            .kind = kind, .rows = rows(), .columns = op_columns, .reads = {}, .writes = {}};
        const auto from = operands(reads, op.reads);
        const auto to = operands(writes, op.writes);
        ASSERT_EQ(problems_of(op), std::vector<std::string>{});
        const DeviceArray scratch(cuda::scratch_elements(op, multiprocessors_), DType::fp32);
        cuda::run_elementwise(op,
                              from,
                              to,
                              {.stream = stream_.get(),
                               .scratch = scratch.operand().as<float>(),
                               .seed = token_seed,
                               .multiprocessors = multiprocessors_});
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
        EXPECT_TRUE(scratch.is_confined());
        for (const auto& array : arrays_) {
            EXPECT_TRUE(array->is_confined());
        }
    }

    /// Within one rounding to the type of the array, and `error` of the largest.
    static void expect_near(const DeviceArray& array,
                            const Values& expected,
                            double error = arithmetic) {
        const Values actual = array.values();
        ASSERT_EQ(actual.size(), expected.size());
        double largest = 0;
        for (const double value : expected) {
            largest = std::max(largest, std::abs(value));
        }
        constexpr double smallest_half = 0x1p-24;
        const double unit = rounding_unit(array.operand().dtype);
        for (std::size_t i = 0; i < actual.size(); ++i) {
            const double tolerance = std::abs(expected[i]) * unit + largest * error + smallest_half;
            ASSERT_NEAR(actual[i], expected[i], tolerance) << "element " << i;
        }
    }

  private:
    static std::vector<Operand> operands(std::initializer_list<const DeviceArray*> arrays,
                                         std::vector<Slice>& slices) {
        std::vector<Operand> result;
        for (const DeviceArray* array : arrays) {
            result.push_back(array->operand());
            // The address tells operands apart, as op.reads[0] == op.writes[0] means "in place".
            slices.push_back({.offset = reinterpret_cast<std::intptr_t>(array),
                              .elements = array->operand().elements});
        }
        return result;
    }

    std::mt19937_64 generator_;
    CudaStream stream_;
    int multiprocessors_ = 0;
    std::vector<std::unique_ptr<DeviceArray>> arrays_;
};

template <class Function>
Values mapped(const Values& x, const Function& function) {
    Values y(x.size());
    std::transform(x.begin(), x.end(), y.begin(), function);
    return y;
}

Values sum(const Values& a, const Values& b) {
    Values result(a.size());
    std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::plus<>{});
    return result;
}

Values product(const Values& a, const Values& b) {
    Values result(a.size());
    std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::multiplies<>{});
    return result;
}

TEST_P(ElementwiseOnGpu, gelu) {
    const DeviceArray& x = filled(all());
    const DeviceArray& dy = filled(all());
    const DeviceArray& y = blank(all());
    const DeviceArray& dx = blank(all());
    run(gelu_forward, columns(), {&x}, {&y});
    expect_near(y, mapped(x.values(), reference::gelu));
    run(gelu_backward, columns(), {&x, &dy}, {&dx});
    expect_near(dx, product(dy.values(), mapped(x.values(), reference::gelu_slope)));
}

TEST_P(ElementwiseOnGpu, swiglu) {
    const std::int64_t f = columns();
    const DeviceArray& x = filled(2 * all());
    const DeviceArray& dy = filled(all());
    const DeviceArray& y = blank(all());
    const DeviceArray& dx = blank(2 * all());
    run(swiglu_forward, f, {&x}, {&y});
    run(swiglu_backward, f, {&x, &dy}, {&dx});
    const Values v = x.values();
    const Values d = dy.values();
    Values expected_y(d.size());
    Values expected_dx(v.size());
    for (std::size_t i = 0; i < d.size(); ++i) {
        const auto width = static_cast<std::size_t>(f);
        const std::size_t gate = i + i / width * width;
        const std::size_t up = gate + width;
        expected_y[i] = reference::silu(v[gate]) * v[up];
        expected_dx[gate] = d[i] * v[up] * reference::silu_slope(v[gate]);
        expected_dx[up] = d[i] * reference::silu(v[gate]);
    }
    expect_near(y, expected_y);
    expect_near(dx, expected_dx);
}

TEST_P(ElementwiseOnGpu, residual_add_and_bias_add_in_place) {
    DeviceArray& x = filled(all());
    const DeviceArray& y = filled(all());
    const DeviceArray& bias = filled(columns());
    const DeviceArray& z = blank(all());
    run(residual_add, columns(), {&x, &y}, {&z});
    expect_near(z, sum(x.values(), y.values()));
    Values expected = x.values();
    const Values b = bias.values();
    for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += b[i % b.size()];
    }
    run(bias_add, columns(), {&x, &bias}, {&x});
    expect_near(x, expected);
}

TEST_P(ElementwiseOnGpu, bias_gradient_is_added) {
    for (const DType kept : gradient_types()) {
        const DeviceArray& dy = filled(all());
        const DeviceArray& bias = gradient(columns(), kept);
        Values expected = bias.values();
        const Values d = dy.values();
        for (std::size_t i = 0; i < d.size(); ++i) {
            expected[i % expected.size()] += d[i];
        }
        run(bias_gradient, columns(), {&dy}, {&bias});
        expect_near(bias, expected);
    }
}

TEST_P(ElementwiseOnGpu, norms_with_and_without_shift) {
    for (const std::int64_t size : {2 * columns(), columns()}) {
        const DeviceArray& x = filled(all(), 0.5);
        const DeviceArray& weights = filled(size);
        const DeviceArray& y = blank(all());
        run(norm_forward, columns(), {&x, &weights}, {&y});
        expect_near(y, reference::norm(x.values(), weights.values(), columns()));
    }
}

TEST_P(ElementwiseOnGpu, gradients_of_norms_which_add_to_those_of_the_weights) {
    for (const auto& [size, kept] : {std::pair{2 * columns(), gradient_types().front()},
                                     std::pair{columns(), gradient_types().back()}}) {
        const DeviceArray& x = filled(all(), 0.5);
        const DeviceArray& dy = filled(all());
        const DeviceArray& weights = filled(size);
        const DeviceArray& dx = blank(all());
        const DeviceArray& d_weights = gradient(size, kept);
        const Values before = d_weights.values();
        run(norm_backward, columns(), {&x, &dy, &weights}, {&dx, &d_weights});
        const auto expected =
            reference::norm_gradient(x.values(), dy.values(), weights.values(), columns());
        expect_near(dx, expected.x);
        expect_near(d_weights, sum(before, expected.weights));
        const DeviceArray& again = gradient(size, kept);
        DeviceArray& first = gradient(size, kept);
        first.set(again.values());
        run(norm_backward, columns(), {&x, &dy, &weights}, {&dx, &first});
        run(norm_backward, columns(), {&x, &dy, &weights}, {&dx, &again});
        EXPECT_EQ(first.values(), again.values());  // the same bits in every run
    }
}

TEST_P(ElementwiseOnGpu, rotary_there_and_back) {
    const std::int64_t stride = columns() + 8;  // some columns are not rotated
    DeviceArray& x = filled(rows() * stride);
    const Values before = x.values();
    run(rotary_forward, columns(), {&x}, {&x});
    const Values turned = reference::rotary(before, stride, columns(), 1);
    expect_near(x, turned);
    x.set(before);
    run(rotary_backward, columns(), {&x}, {&x});
    expect_near(x, reference::rotary(before, stride, columns(), -1));
}

TEST_P(ElementwiseOnGpu, cross_entropy_replaces_logits_by_their_gradient) {
    const DeviceArray& logits = filled(all(), 0, 2);
    const DeviceArray& loss = blank(1, DType::fp32);
    std::vector<std::int64_t> targets;
    for (std::int64_t row = 0; row < rows(); ++row) {
        targets.push_back(target_of(token_seed, row, columns()));
    }
    const auto expected = reference::cross_entropy(logits.values(), columns(), targets);
    run(cross_entropy, columns(), {&logits}, {&logits, &loss});
    expect_near(logits, expected.gradient);
    expect_near(loss, {expected.loss});
}

TEST_P(ElementwiseOnGpu, embedding_gathers_and_scatters) {
    constexpr std::int64_t vocab = 50;
    const std::int64_t seq = (rows() + 1) / 2;  // two rows share a position
    const auto n = static_cast<std::size_t>(columns());
    const DeviceArray& table = filled(vocab * columns());
    const DeviceArray& positions = filled(seq * columns());
    const DeviceArray& with = blank(all());
    const DeviceArray& without = blank(all());
    run(embedding_forward, columns(), {&table, &positions}, {&with});
    run(embedding_forward, columns(), {&table}, {&without});
    const DeviceArray& d = filled(all());
    const DeviceArray& d_table = gradient(vocab * columns(), DType::fp32);
    const DeviceArray& d_positions = gradient(seq * columns(), DType::fp32);
    const DeviceArray& d_table_alone = gradient(vocab * columns(), gradient_types().back());
    Values expected_table = d_table.values();
    Values expected_positions = d_positions.values();
    Values expected_alone = d_table_alone.values();
    run(embedding_backward, columns(), {&d}, {&d_table, &d_positions});
    run(embedding_backward, columns(), {&d}, {&d_table_alone});
    const Values t = table.values();
    const Values p = positions.values();
    const Values g = d.values();
    Values expected_with(g.size());
    Values expected_without(g.size());
    for (std::size_t i = 0; i < g.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i / n);
        const auto token = static_cast<std::size_t>(token_of(token_seed, row, vocab));
        const auto position = static_cast<std::size_t>(row % seq);
        expected_without[i] = t[token * n + i % n];
        expected_with[i] = expected_without[i] + p[position * n + i % n];
        expected_table[token * n + i % n] += g[i];
        expected_alone[token * n + i % n] += g[i];
        expected_positions[position * n + i % n] += g[i];
    }
    expect_near(with, expected_with);
    EXPECT_EQ(without.values(), expected_without);
    expect_near(d_table, expected_table);
    // In the activations' type every addition is rounded; roundings add up as their squares do.
    const double additions = 1 + static_cast<double>(rows()) / vocab;
    const double unit = rounding_unit(d_table_alone.operand().dtype);
    expect_near(d_table_alone, expected_alone, arithmetic + 2 * std::sqrt(additions) * unit);
    expect_near(d_positions, expected_positions);
}

TEST_P(ElementwiseOnGpu, sum_of_squares_then_scale_clips_the_norm_to_one) {
    for (const double deviation : {1.0, 1e-4}) {
        const DeviceArray& x = filled(all(), 0, deviation);
        const DeviceArray& squares = blank(1, DType::fp32);
        const Values before = x.values();
        const double expected =
            std::inner_product(before.begin(), before.end(), before.begin(), 0.0);
        run(sum_of_squares, columns(), {&x}, {&squares});
        expect_near(squares, {expected});
        const double factor = expected > 1 ? 1 / std::sqrt(expected) : 1;
        run(scale, columns(), {&x, &squares}, {&x});
        expect_near(x, mapped(before, [&](double v) { return v * factor; }));
    }
}

TEST_P(ElementwiseOnGpu, zero) {
    const DeviceArray& x = blank(all());
    run(zero, columns(), {}, {&x});
    EXPECT_EQ(x.values(), Values(static_cast<std::size_t>(all())));
}

TEST_P(ElementwiseOnGpu, copy) {
    const DeviceArray& x = filled(all());
    const DeviceArray& y = blank(all());
    run(ElementwiseKind::copy, columns(), {&x}, {&y});
    EXPECT_EQ(y.values(), x.values());
}

// Vector and single-element paths; rows in registers, read again, in turns, and in two passes.
INSTANTIATE_TEST_SUITE_P(types_and_shapes,
                         ElementwiseOnGpu,
                         testing::Combine(testing::Values(DType::fp32, DType::bf16, DType::fp16),
                                          testing::Values(Shape{300, 1},
                                                          Shape{300, 7},
                                                          Shape{300, 8},
                                                          Shape{300, 63},
                                                          Shape{3000, 64},
                                                          Shape{1, 128},
                                                          Shape{90, 1000},
                                                          Shape{90, 1000, 1},
                                                          Shape{20, 8192, 8},
                                                          Shape{20, 12288},
                                                          Shape{20, 12288, 3},
                                                          Shape{20, 12289},
                                                          Shape{9, 20480},
                                                          Shape{3, 65536},
                                                          Shape{2, 70000})),
                         [](const auto& test) {
                             const Shape& shape = std::get<1>(test.param);
                             return fmt::format("{}_{}x{}_at_{}",
                                                to_string(std::get<0>(test.param)),
                                                shape.rows,
                                                shape.columns,
                                                shape.offset);
                         });

}  // namespace
}  // namespace traindyno
