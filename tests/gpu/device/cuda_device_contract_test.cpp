// SPDX-License-Identifier: Apache-2.0
// A GPU under the contract of devices.
#include <memory>

#include "emulator/device/cuda/cuda_device.hpp"
#include "tests/contract/device_contract.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno::test {
namespace {

std::string missing() {
    const std::string problem = gpu_problem();
    return problem.empty() ? "" : "no GPU: " + problem;
}

/// The GPU's memory is the limit. An anchor of its clock lasts a second, in which clocks that run
/// 100 ppm apart drift by 100 us.
DeviceCase cuda() {
    return {.name = "cuda",
            .make =
                [](Bytes /*memory_limit*/) {
                    return std::make_unique<CudaDevice>(
                        CudaOptions{.precision = Precision::fp32, .seed = 1});
                },
            .size = 2048,
            .too_many_parameters = std::int64_t{1} << 40,
            .clock_error = std::chrono::microseconds{100},
            .missing = missing};
}

INSTANTIATE_TEST_SUITE_P(Cuda, DeviceContract, testing::Values(cuda()), [](const auto& param) {
    return param.param.name;
});

}  // namespace
}  // namespace traindyno::test
