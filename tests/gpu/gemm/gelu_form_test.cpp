// SPDX-License-Identifier: Apache-2.0
// Which form of GELU cuBLASLt computes: its documentation does not say.
#include <cmath>
#include <iostream>

#include <gtest/gtest.h>

#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "emulator/device/cuda/gemm/normal_numbers.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/gpu/gemm/reference.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno::test {
namespace {

constexpr std::int64_t m = 160;
constexpr std::int64_t n = 16;
constexpr std::int64_t k = 16;

/// gelu(x) in bf16 of m values x: they are the first column of A, and the first row of B is ones.
std::vector<double> gelu_by_cublas_lt(const std::vector<double>& x) {
    constexpr std::size_t size = 2;
    std::vector<std::byte> a(m * k * size);
    std::vector<std::byte> b(n * k * size);
    for (std::size_t i = 0; i < m; ++i) {
        store(GemmType::bf16, static_cast<float>(x[i]), &a[i * k * size]);
    }
    for (std::size_t j = 0; j < n; ++j) {
        store(GemmType::bf16, 1, &b[j * k * size]);
    }
    const CudaStream stream = make_stream();
    const DeviceBytes device_a(Bytes{m * k * 2});
    const DeviceBytes device_b(Bytes{n * k * 2});
    const DeviceBytes device_c(Bytes{m * n * 2});
    const DeviceBytes aux(Bytes{m * n * 2});
    const auto to_device = [&](const DeviceBytes& to, const std::vector<std::byte>& from) {
        TD_CUDA(cudaMemcpyAsync(
            to.data(), from.data(), from.size(), cudaMemcpyHostToDevice, stream.get()));
        TD_CUDA(cudaStreamSynchronize(stream.get()));
    };
    to_device(device_a, a);
    to_device(device_b, b);
    GemmLibrary library("");
    GemmPlan& plan = library.prepare(
        {.m = m, .n = n, .k = k, .transpose_b = Transpose::yes, .epilogue = Epilogue::gelu_aux});
    library.run(
        plan,
        {.a = device_a.data(), .b = device_b.data(), .c = device_c.data(), .aux = aux.data()},
        stream.get());
    std::vector<std::byte> c(m * n * size);
    TD_CUDA(
        cudaMemcpyAsync(c.data(), device_c.data(), c.size(), cudaMemcpyDeviceToHost, stream.get()));
    TD_CUDA(cudaStreamSynchronize(stream.get()));
    std::vector<double> y;
    for (std::size_t i = 0; i < m; ++i) {
        y.push_back(load(GemmType::bf16, &c[i * n * size]));
    }
    return y;
}

double mean_square(const std::vector<double>& x,
                   const std::vector<double>& y,
                   double (*form)(double)) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        sum += (y[i] - form(x[i])) * (y[i] - form(x[i]));
    }
    return sum / static_cast<double>(x.size());
}

TEST(CublasLtGelu, is_the_tanh_form) {
    TD_REQUIRE_GPU();
    // Here the forms differ most beside what bf16 rounds and what tanh.approx is off; exact in
    // bf16.
    std::vector<double> x;
    for (int i = 0; i < m; ++i) {
        x.push_back(-1.5 - i / 64.0);
    }
    const std::vector<double> y = gelu_by_cublas_lt(x);
    const double from_tanh = std::sqrt(mean_square(x, y, gelu));
    const double from_erf = std::sqrt(mean_square(x, y, gelu_of_erf));
    std::cout << "cuBLASLt's GELU is " << from_tanh << " from the tanh form and " << from_erf
              << " from the erf form (root mean square)\n";
    EXPECT_LT(from_tanh, from_erf);
    EXPECT_LT(from_tanh, 1e-3);
}

}  // namespace
}  // namespace traindyno::test
