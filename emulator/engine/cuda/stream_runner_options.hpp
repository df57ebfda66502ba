// SPDX-License-Identifier: Apache-2.0
// How steps are put on CUDA streams.
#pragma once

#include <array>
#include <cstdint>

#include "collectives/nccl/nccl_options.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/device/cuda/cuda_options.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/layout/layout.hpp"

namespace traindyno {

/// How a step reaches the GPU.
enum class StepLaunch : std::uint8_t {
    eager,  ///< operation by operation, ahead of the GPU
    graph,  ///< captured once as a CUDA graph, then launched as a whole
};

template <>
struct EnumNames<StepLaunch> {
    static constexpr auto names = enum_table<StepLaunch>("eager", "graph");
};

/// Whether NCCL is told of the buffers beforehand. Over InfiniBand it may then move them uncopied.
enum class Registration : std::uint8_t { off, on };

template <>
struct EnumNames<Registration> {
    static constexpr auto names = enum_table<Registration>("off", "on");
};

/// How the traffic of one kind of group runs (Megatron's per-group NCCL options).
struct GroupTraffic {
    NcclOptions nccl;
    StreamPriority priority = StreamPriority::highest;
    Registration registration = Registration::off;
};

struct StreamRunnerOptions {
    RunnerOptions runner{};
    StepLaunch launch = StepLaunch::eager;
    std::array<GroupTraffic, enum_count<GroupKind>> groups{};  ///< by GroupKind
};

}  // namespace traindyno
