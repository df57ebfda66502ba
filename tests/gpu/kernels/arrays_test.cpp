// SPDX-License-Identifier: Apache-2.0
// Kernels over whole arrays on the device: Adam, random values, reduction marks; and that a graph
// gives the results of single launches.
#include <array>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/random_values.hpp"
#include "emulator/device/reduction_pattern.hpp"
#include "tests/gpu/kernels/device_array.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno {
namespace {

class ArraysOnGpu : public testing::TestWithParam<DType> {
  protected:
    void SetUp() override {
        TD_REQUIRE_GPU();
        const unsigned seed = std::random_device{}();
        fmt::print("seed {}\n", seed);
        generator_.seed(seed);
        stream_ = make_stream();
        TD_CUDA(
            cudaDeviceGetAttribute(&context_.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
        context_.stream = stream_.get();
    }

    [[nodiscard]] Values normal(std::int64_t elements, double deviation) {
        std::normal_distribution<double> distribution(0, deviation);
        Values values(static_cast<std::size_t>(elements));
        for (double& value : values) {
            value = distribution(generator_);
        }
        return values;
    }

    [[nodiscard]] DeviceArray filled(const Values& values, std::int64_t offset) const {
        DeviceArray array(static_cast<std::int64_t>(values.size()), DType::fp32, offset);
        array.set(values);
        return array;
    }

    void wait() const { TD_CUDA(cudaStreamSynchronize(stream_.get())); }

    std::mt19937_64 generator_;
    CudaStream stream_;
    cuda::KernelContext context_;
};

TEST_P(ArraysOnGpu, adam_is_its_formula) {
    for (const std::int64_t offset : {0, 1, 4}) {
        for (const std::int64_t elements : {1, 7, 1000, 1'000'003}) {
            // Main gradients are fp32, or bf16 beside bf16 weights.
            const DType kept = GetParam() == DType::bf16 && offset != 4 ? DType::bf16 : DType::fp32;
            const Values gradient = rounded(normal(elements, 1), kept);
            const Values master = rounded(normal(elements, 0.02), DType::fp32);
            const Values m = rounded(normal(elements, 1), DType::fp32);
            Values v = rounded(normal(elements, 1), DType::fp32);
            for (double& value : v) {
                value = std::abs(value);
            }
            DeviceArray device_gradient(elements, kept, offset);
            device_gradient.set(gradient);
            const DeviceArray device_master = filled(master, offset);
            const DeviceArray device_m = filled(m, offset);
            const DeviceArray device_v = filled(v, offset);
            const DeviceArray weight(elements, GetParam(), offset);
            cuda::adam({.weight = weight.operand(),
                        .gradient = device_gradient.operand(),
                        .master = device_master.operand().as<float>(),
                        .m = device_m.operand().as<float>(),
                        .v = device_v.operand().as<float>()},
                       context_);
            wait();
            const Values new_master = device_master.values();
            const Values new_m = device_m.values();
            const Values new_v = device_v.values();
            for (std::size_t i = 0; i < master.size(); ++i) {
                const double expected_m = 0.9 * m[i] + 0.1 * gradient[i];
                const double expected_v = 0.95 * v[i] + 0.05 * gradient[i] * gradient[i];
                const double step = 1e-7 * expected_m / (std::sqrt(expected_v) + 1e-8);
                ASSERT_NEAR(new_m[i], expected_m, 1e-6) << i;
                ASSERT_NEAR(new_v[i], expected_v, 1e-6 * (1 + expected_v)) << i;
                // A step is about 50 roundings of a master weight.
                ASSERT_NEAR(new_master[i] - master[i],
                            -step,
                            std::abs(master[i]) * 0x1p-24 + 1e-4 * std::abs(step))
                    << i;
            }
            EXPECT_EQ(weight.values(), rounded(new_master, GetParam()));
            EXPECT_EQ(device_gradient.values(), gradient);
            for (const DeviceArray* array : {&device_master, &device_m, &device_v, &weight}) {
                EXPECT_TRUE(array->is_confined());
            }
        }
    }
}

TEST_P(ArraysOnGpu, random_values_are_the_hosts) {
    constexpr float deviation = 0.02F;
    constexpr std::uint32_t seed = 5;
    const DeviceArray array(100'003, GetParam(), 1);
    cuda::fill_random(array.operand(), deviation, seed, stream_.get());
    wait();
    Values expected;
    double squares = 0;
    for (std::uint32_t i = 0; i < 100'003; ++i) {
        expected.push_back(static_cast<double>(normal_value(seed, i, deviation)));
        squares += expected.back() * expected.back();
    }
    EXPECT_EQ(array.values(), rounded(expected, GetParam()));
    EXPECT_NEAR(std::sqrt(squares / 100'003), 0.02, 0.0004);
    EXPECT_TRUE(array.is_confined());
}

/// The marks of all members, reduced without error; what lies between is 0.
Values reduced_marks(std::int64_t elements, Reduction reduction, std::int64_t size) {
    Values values(static_cast<std::size_t>(elements));
    for (std::int64_t mark = 0; mark < marks_in(elements); ++mark) {
        const std::int64_t index = marked_element(mark, elements);
        values[static_cast<std::size_t>(index)] =
            static_cast<double>(reduced_pattern(reduction, size, 7, index));
    }
    return values;
}

TEST_P(ArraysOnGpu, stamps_mark_what_the_pattern_says) {
    for (const std::int64_t elements : {63, 64, 4096, 4097, 4098, 2'000'000}) {
        DeviceArray buffer(elements, GetParam());
        Values expected(static_cast<std::size_t>(elements));
        buffer.set(expected);
        cuda::stamp_pattern(
            buffer.operand().data, GetParam(), elements, GroupRank{3}, 7, stream_.get());
        wait();
        for (std::int64_t mark = 0; mark < marks_in(elements); ++mark) {
            const std::int64_t index = marked_element(mark, elements);
            expected[static_cast<std::size_t>(index)] = static_cast<double>(pattern(3, 7, index));
        }
        EXPECT_EQ(buffer.values(), expected);
        EXPECT_TRUE(buffer.is_confined());
    }
}

TEST_P(ArraysOnGpu, checks_count_marks_and_find_each_wrong_one) {
    constexpr std::int64_t elements = 2'000'000;
    constexpr std::int64_t size = 5;
    const DeviceBytes counters(Bytes{sizeof(cuda::PatternCounters)});
    auto* const on_device = reinterpret_cast<cuda::PatternCounters*>(counters.data());
    DeviceArray buffer(elements, GetParam());
    const auto check = [&](Reduction reduction, const Values& values) {
        buffer.set(values);
        TD_CUDA(cudaMemsetAsync(counters.data(), 0, sizeof(cuda::PatternCounters), stream_.get()));
        cuda::check_pattern(buffer.operand().data,
                            GetParam(),
                            elements,
                            reduction,
                            size,
                            7,
                            on_device,
                            stream_.get());
        wait();
        cuda::PatternCounters result;
        TD_CUDA(cudaMemcpy(&result, on_device, sizeof result, cudaMemcpyDeviceToHost));
        return result;
    };
    for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
        Values values = reduced_marks(elements, reduction, size);
        const cuda::PatternCounters right = check(reduction, values);
        EXPECT_EQ(right.checked, static_cast<unsigned long long>(marks_in(elements)));
        EXPECT_EQ(right.wrong, 0U);
        values[0] += 4;
        values[check_stride] = std::nan("");
        values.back() -= 4;
        EXPECT_EQ(check(reduction, values).wrong, 3U);
    }
}

TEST_P(ArraysOnGpu, a_graph_repeats_single_launches) {
    constexpr std::int64_t rows = 40;
    constexpr std::int64_t columns = 4096;
    const auto array = [&](std::int64_t elements, std::uint32_t seed, DType type) {
        DeviceArray result(elements, type);
        cuda::fill_random(result.operand(), 1.0F, seed, stream_.get());
        return result;
    };
    const DeviceArray x = array(rows * columns, 1, GetParam());
    const DeviceArray dy = array(rows * columns, 2, GetParam());
    const DeviceArray weights = array(2 * columns, 3, GetParam());
    const DeviceArray dx(rows * columns, GetParam());
    const DeviceArray d_weights(2 * columns, DType::fp32);
    const Elementwise op{.kind = ElementwiseKind::norm_backward,
                         .rows = rows,
                         .columns = columns,
                         .reads = std::vector<Slice>(3),
                         .writes = std::vector<Slice>(2)};
    const DeviceArray scratch(cuda::scratch_elements(op, context_.multiprocessors), DType::fp32);
    context_.scratch = scratch.operand().as<float>();
    const auto launch = [&] {
        cuda::fill_zero(d_weights.operand(), stream_.get());
        cuda::run_elementwise(op,
                              std::array{x.operand(), dy.operand(), weights.operand()},
                              std::array{dx.operand(), d_weights.operand()},
                              context_);
    };
    launch();
    wait();
    const Values expected = d_weights.values();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    TD_CUDA(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeGlobal));
    launch();
    TD_CUDA(cudaStreamEndCapture(stream_.get(), &graph));
    TD_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    const DeviceArray blank(2 * columns, DType::fp32);
    TD_CUDA(cudaMemcpy(d_weights.operand().data,
                       blank.operand().data,
                       static_cast<std::size_t>(2 * columns) * sizeof(float),
                       cudaMemcpyDeviceToDevice));
    TD_CUDA(cudaDeviceSynchronize());
    TD_CUDA(cudaGraphLaunch(executable, stream_.get()));
    wait();
    EXPECT_EQ(d_weights.values(), expected);
    TD_CUDA(cudaGraphExecDestroy(executable));
    TD_CUDA(cudaGraphDestroy(graph));
}

INSTANTIATE_TEST_SUITE_P(types,
                         ArraysOnGpu,
                         testing::Values(DType::fp32, DType::bf16, DType::fp16),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace traindyno
