// SPDX-License-Identifier: Apache-2.0
// What a machine can do: peaks, memory, links. Read from TOML files in configs/machines/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/dtype.hpp"
#include "emulator/base/units.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// Matrix-product rate in one precision.
struct GemmRate {
    DType precision = DType::bf16;
    FlopRate peak;            ///< dense peak of the datasheet
    double efficiency = 1.0;  ///< share of the peak that large matrix products sustain

    friend bool operator==(const GemmRate&, const GemmRate&) = default;
};

/// A level of the network, nearest first.
struct Link {
    std::string name;        ///< "intra_node", "inter_node"
    std::int64_t ranks = 0;  ///< ranks that reach each other on this level; 0 = any number
    Bandwidth bandwidth;     ///< per rank, one direction
    SimTime latency = SimTime{0};

    friend bool operator==(const Link&, const Link&) = default;
};

struct MachineProfile {
    std::string name;
    std::string device;  ///< "NVIDIA A100 SXM4 80GB"
    std::string source;  ///< where the figures come from
    std::int64_t ranks_per_node = 1;
    std::vector<GemmRate> gemm;
    Bytes memory;
    Bandwidth memory_bandwidth;
    double memory_efficiency = 1.0;  ///< share of memory_bandwidth that streaming kernels sustain
    SimTime launch_latency = SimTime{0};  ///< fixed cost of each kernel
    std::vector<Link> links;

    friend bool operator==(const MachineProfile&, const MachineProfile&) = default;
};

/// Rate for `precision`; when the machine lacks it, the best it has instead (fp32 work on a
/// tensor-core profile is timed at the listed rate that is nearest above).
[[nodiscard]] const GemmRate& gemm_rate(const MachineProfile& machine, DType precision);

/// Time of `op` on `machine`: launch latency + max(FLOPs / sustained rate, traffic / sustained
/// bandwidth).
[[nodiscard]] SimTime op_time(const MachineProfile& machine, const ComputeOp& op, DType precision);

/// Loads a profile by name from configs/machines/, or from a path ending in .toml. Throws
/// ConfigError.
[[nodiscard]] MachineProfile load_machine(std::string_view name_or_path);

/// Names in configs/machines/, sorted.
[[nodiscard]] std::vector<std::string> machine_names();

}  // namespace traindyno
