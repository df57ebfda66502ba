// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/nccl/gpu_world.hpp"

#include "collectives/nccl/nccl_set_up.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/gpu/require_gpu.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

const NcclSetUp& set_up() {
    static const NcclSetUp once{nccl_test_options().sharing, session().rank()};
    return once;
}

std::string choose_device() {
    (void)set_up();
    std::string problem = gpu_problem();
    if (problem.empty()) {
        int devices = 0;
        TD_CUDA(cudaGetDeviceCount(&devices));
        TD_CUDA(cudaSetDevice(session().rank().value() % devices));
        return "";
    }
    return "no GPU: " + problem;
}

}  // namespace

std::string gpu_missing() {
    static const std::string problem = choose_device();
    return problem;
}

NcclOptions nccl_test_options() {
    return {.timeout = std::chrono::seconds{60},
            .sharing = session().size() > 1 ? GpuSharing::allowed : GpuSharing::refused};
}

std::vector<std::string> nccl_topology() {
    return set_up().topology();
}

}  // namespace traindyno::test
