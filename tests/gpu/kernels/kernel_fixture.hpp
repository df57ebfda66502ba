// SPDX-License-Identifier: Apache-2.0
// Tests of element-wise kernels over element types and shapes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/elementwise_check.hpp"
#include "tests/gpu/kernels/device_array.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno {

/// `Shape` has an `offset` of every operand in storage, in elements.
template <class Shape>
class KernelOnGpu : public testing::TestWithParam<std::tuple<DType, Shape>> {
  protected:
    void SetUp() override {
        TD_REQUIRE_GPU();
        stream_ = make_stream();
        TD_CUDA(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, 0));
    }

    [[nodiscard]] static DType type() { return std::get<0>(KernelOnGpu::GetParam()); }

    [[nodiscard]] static const Shape& shape() { return std::get<1>(KernelOnGpu::GetParam()); }

    [[nodiscard]] static DeviceArray blank(std::int64_t elements) {
        return {elements, type(), shape().offset};
    }

    [[nodiscard]] Values normal(std::int64_t elements) {
        std::normal_distribution<double> distribution;
        Values values(static_cast<std::size_t>(elements));
        std::generate(values.begin(), values.end(), [&] { return distribution(generator_); });
        return values;
    }

    [[nodiscard]] DeviceArray filled(std::int64_t elements) {
        DeviceArray array = blank(elements);
        array.set(normal(elements));
        return array;
    }

    /// `op` on these operands, to its end.
    void launch(const Elementwise& op,
                const std::vector<Operand>& reads,
                const std::vector<Operand>& writes) {
        ASSERT_EQ(problems_of(op), std::vector<std::string>{});
        cuda::run_elementwise(
            op, reads, writes, {.stream = stream_.get(), .multiprocessors = multiprocessors_});
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
    }

  private:
    std::mt19937_64 generator_{7};
    CudaStream stream_;
    int multiprocessors_ = 0;
};

}  // namespace traindyno
