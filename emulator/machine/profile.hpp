// SPDX-License-Identifier: Apache-2.0
// What a machine can do: peaks, memory, links. Read from TOML files in configs/machines/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/precision.hpp"
#include "emulator/base/units.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// Matrix-product rate in one precision.
struct GemmRate {
    Precision precision = Precision::bf16;
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

/// Rate for `precision`. When the machine lists none, the first listed of: the other 16-bit type;
/// wider ones, which hold its values, nearest first; narrower ones, nearest first. From wide to
/// narrow: fp32, tf32, bf16 and fp16, fp8.
[[nodiscard]] const GemmRate& gemm_rate(const MachineProfile& machine, Precision precision);

/// "dgx-a100 lists no fp8 rate: ..." when gemm_rate() gives another precision's rate, else "".
[[nodiscard]] std::string substitution(const MachineProfile& machine, Precision precision);

/// Time of `op` on `machine`: launch latency + max(FLOPs / sustained rate, traffic / sustained
/// bandwidth). In fp8 a matrix product reads fp8 copies of its operands, at the fp8 rate, after the
/// casts that made them: a kernel that reads bf16 and writes fp8 for each operand that is
/// contiguous along k; for the other, the one byte per element that the kernel of an earlier
/// product writes more, transposed, as Hopper wants it. Scales come from earlier steps, so that
/// maxima take no pass of their own. All else runs as in bf16: attention, and products with a size
/// that is no multiple of 16.
[[nodiscard]] SimTime op_time(const MachineProfile& machine,
                              const ComputeOp& op,
                              Precision precision,
                              DType gradient = DType::fp32);

/// Loads a profile by name from configs/machines/, or from a path ending in .toml. Throws
/// ConfigError.
[[nodiscard]] MachineProfile load_machine(std::string_view name_or_path);

/// The shipped profile whose device is of the same model as `device`, such as "NVIDIA H200": the
/// first in order of names; nothing when there is none.
[[nodiscard]] std::optional<MachineProfile> machine_with_device(std::string_view device);

/// Names in configs/machines/, sorted.
[[nodiscard]] std::vector<std::string> machine_names();

}  // namespace traindyno
