// SPDX-License-Identifier: Apache-2.0
// How a study runs on GPUs.
#pragma once

#include <array>
#include <cstdint>

#include "emulator/base/enum_names.hpp"
#include "emulator/device/cuda/cuda_options.hpp"
#include "emulator/engine/cuda/stream_runner_options.hpp"

namespace traindyno {

/// Who carries the traffic of GPUs.
enum class GpuCollectives : std::uint8_t {
    nccl,  ///< NCCL on streams
    mpi,   ///< MPI on host memory: copied down before and up after
};

template <>
struct EnumNames<GpuCollectives> {
    static constexpr auto names = enum_table<GpuCollectives>("nccl", "mpi");
};

struct GpuOptions {
    CudaOptions device;
    GpuCollectives collectives = GpuCollectives::nccl;
    // With nccl only:
    StepLaunch launch = StepLaunch::eager;
    std::array<GroupTraffic, enum_count<GroupKind>> groups{};  ///< by GroupKind
};

}  // namespace traindyno
