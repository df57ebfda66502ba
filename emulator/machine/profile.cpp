// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/profile.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"

namespace traindyno {

const GemmRate& gemm_rate(const MachineProfile& machine, DType precision) {
    TD_EXPECT(!machine.gemm.empty());
    const auto slower = [](const GemmRate& a, const GemmRate& b) { return a.peak < b.peak; };
    const GemmRate* nearest_above = nullptr;
    for (const GemmRate& rate : machine.gemm) {
        if (rate.precision == precision) {
            return rate;
        }
        // Narrower types run faster, so the slowest of them is the nearest above.
        const bool narrower = element_size(rate.precision) < element_size(precision);
        if (narrower && (nearest_above == nullptr || slower(rate, *nearest_above))) {
            nearest_above = &rate;
        }
    }
    return nearest_above != nullptr
               ? *nearest_above
               : *std::max_element(machine.gemm.begin(), machine.gemm.end(), slower);
}

SimTime op_time(const MachineProfile& machine, const ComputeOp& op, DType precision) {
    const GemmRate& rate = gemm_rate(machine, precision);
    const SimTime arithmetic = flops(op) / (rate.peak * rate.efficiency);
    const SimTime movement =
        traffic(op, precision) / (machine.memory_bandwidth * machine.memory_efficiency);
    return machine.launch_latency + std::max(arithmetic, movement);
}

}  // namespace traindyno
