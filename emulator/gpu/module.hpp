// SPDX-License-Identifier: Apache-2.0
// The GPU module: everything that needs CUDA, in one library that is loaded at run time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/base/units.hpp"
#include "emulator/engine/backend.hpp"
#include "emulator/gpu/gpu_options.hpp"
#include "emulator/gpu/gpu_traffic.hpp"

namespace traindyno {

struct GpuDescription {
    int ordinal = 0;  ///< CUDA's number among the devices visible to this process
    std::string name;
    std::string uuid;        ///< "GPU-6f1a...": one physical device, whatever is visible
    std::string pci_bus_id;  ///< "0000:1b:00.0"
    int capability = 0;      ///< compute capability x 10: 90 for sm_90
    int multiprocessors = 0;
    Bytes memory;

    friend bool operator==(const GpuDescription&, const GpuDescription&) = default;
};

struct LibraryVersion {
    std::string name;     ///< "CUDA driver", "NCCL"
    std::string version;  ///< "13.0", or why it cannot be used

    friend bool operator==(const LibraryVersion&, const LibraryVersion&) = default;
};

struct GpuInventory {
    std::vector<GpuDescription> devices;
    std::vector<LibraryVersion> libraries;
    std::string problem;  ///< why there is no device; "" where there are some

    friend bool operator==(const GpuInventory&, const GpuInventory&) = default;
};

/// What the module gives. It is never unloaded, so what it made may live as long as the process.
class GpuModule {
  public:
    virtual ~GpuModule() = default;

    /// Sets what CUDA and NCCL read once from the environment, unless the user has. Before anything
    /// else of the module, once, while no other thread runs.
    virtual void set_up(GpuSharing sharing, WorldRank rank) = 0;

    /// Never throws for a missing driver or device: that is an answer.
    [[nodiscard]] virtual GpuInventory inventory() = 0;

    /// Makes options.device.ordinal the current device of this thread.
    [[nodiscard]] virtual std::unique_ptr<Backend> make_backend(const GpuOptions& options) = 0;

    /// Makes `ordinal` the current device of this thread.
    [[nodiscard]] virtual std::unique_ptr<GpuTraffic> make_traffic(int ordinal,
                                                                   const NcclOptions& nccl) = 0;

    /// What NCCL's log says about the network it chose. Grows as communicators are made.
    [[nodiscard]] virtual std::vector<std::string> network() = 0;
};

/// The module, or why there is none. It is loaded once and stays until the process ends.
struct GpuModuleSearch {
    GpuModule* module = nullptr;
    std::string problem;
};

/// Looks for libtraindyno_cuda.so beside the executable, then where the loader looks.
[[nodiscard]] GpuModuleSearch find_gpu_module();

/// Whether this host has NVIDIA's driver: cheap to ask, and without it the module is of no use.
[[nodiscard]] bool has_nvidia_driver();

/// What find_gpu_module() and the module's inventory say together.
[[nodiscard]] GpuInventory gpu_inventory();

namespace detail {

/// Loads `library` and asks it for its module. A library of another build is refused.
[[nodiscard]] GpuModuleSearch load_gpu_module(const std::string& library);

/// What the module exports under gpu_module_symbol.
using GpuModuleEntry = GpuModule* (*)(const char* build);
inline constexpr const char* gpu_module_symbol = "traindyno_gpu_module";
inline constexpr std::string_view gpu_module_file = "libtraindyno_cuda.so";

}  // namespace detail

}  // namespace traindyno
