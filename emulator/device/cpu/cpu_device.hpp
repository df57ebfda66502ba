// SPDX-License-Identifier: Apache-2.0
// A device that computes for real on some cores of this host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulator/device/device.hpp"
#include "emulator/device/host_memory.hpp"

namespace traindyno {

struct CpuOptions {
    std::vector<int> cores;  ///< OS processor numbers, one per physical core; see binding.hpp
    int threads = 1;         ///< compute threads, bound to the cores in turn
    Precision precision = Precision::fp32;  ///< fp32 or bf16
    unsigned seed = 0;
    Bytes memory_limit{0};  ///< this process's share of the host; 0 = only what the host has left
    HostMemory shared{};    ///< for what is communicated; asked during `prepare` only
};

/// Throws ConfigError when this device or the processor lacks the precision.
[[nodiscard]] std::unique_ptr<Device> make_cpu_device(const CpuOptions& options);

/// "oneDNN 2.6.3": what multiplies the matrices.
[[nodiscard]] std::string cpu_compute_library();

}  // namespace traindyno
