// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/inventory.hpp"

#include <array>
#include <cstdint>
#include <span>

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

/// CUDA packs 13.0 as 13000.
std::string cuda_version(int packed) {
    return packed == 0 ? "none" : fmt::format("{}.{}", packed / 1000, packed % 1000 / 10);
}

std::string uuid_text(const cudaUUID_t& uuid) {
    std::string text = "GPU-";
    constexpr std::array dash_before{4, 6, 8, 10};
    for (int i = 0; i < 16; ++i) {
        for (const int position : dash_before) {
            text += i == position ? "-" : "";
        }
        text += fmt::format("{:02x}", static_cast<std::uint8_t>(uuid.bytes[i]));
    }
    return text;
}

GpuDescription describe(int ordinal) {
    cudaDeviceProp properties{};
    TD_CUDA(cudaGetDeviceProperties(&properties, ordinal));
    return {.ordinal = ordinal,
            .name = properties.name,
            .uuid = uuid_text(properties.uuid),
            .pci_bus_id = fmt::format("{:04x}:{:02x}:{:02x}.0",
                                      properties.pciDomainID,
                                      properties.pciBusID,
                                      properties.pciDeviceID),
            .capability = properties.major * 10 + properties.minor,
            .multiprocessors = properties.multiProcessorCount,
            .memory = Bytes{static_cast<std::int64_t>(properties.totalGlobalMem)}};
}

std::vector<LibraryVersion> library_versions() {
    int driver = 0;
    int runtime = 0;
    int nccl = 0;
    (void)cudaDriverGetVersion(&driver);  // leaves 0 where there is no driver
    (void)cudaRuntimeGetVersion(&runtime);
    (void)ncclGetVersion(&nccl);
    const auto cublas = static_cast<int>(cublasLtGetVersion());
    return {
        {.name = "CUDA driver", .version = cuda_version(driver)},
        {.name = "CUDA runtime", .version = cuda_version(runtime)},
        {.name = "cuBLASLt",
         .version = fmt::format("{}.{}.{}", cublas / 10000, cublas % 10000 / 100, cublas % 100)},
        {.name = "cuDNN", .version = cuda::cudnn_state()},
        {.name = "NCCL",
         .version = fmt::format("{}.{}.{}", nccl / 10000, nccl % 10000 / 100, nccl % 100)}};
}

}  // namespace

GpuInventory cuda_inventory() {
    GpuInventory inventory{.devices = {}, .libraries = library_versions(), .problem = ""};
    int count = 0;  // stays as it is when there is no driver
    const cudaError_t state = cudaGetDeviceCount(&count);
    if (state != cudaSuccess || count == 0) {
        inventory.problem =
            state == cudaSuccess ? "no CUDA device is visible" : cudaGetErrorString(state);
        (void)cudaGetLastError();  // an answer, not an error of a later call
        return inventory;
    }
    for (int ordinal = 0; ordinal < count; ++ordinal) {
        inventory.devices.push_back(describe(ordinal));
    }
    return inventory;
}

}  // namespace traindyno
