// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/backends.hpp"

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/timed/timed_device.hpp"

namespace traindyno {

namespace {

std::unique_ptr<Device> make_cpu(const MeasureRequest& request, const RankResources& resources) {
    const Bytes share{available_memory().value() / resources.local_size};
    return make_cpu_device({.cores = resources.cores,
                            .threads = static_cast<int>(request.threads.value_or(
                                static_cast<std::int64_t>(resources.cores.size()))),
                            .precision = request.workload.setup.precision,
                            .seed = static_cast<unsigned>(request.measure.seed),
                            .memory_limit = share});
}

std::unique_ptr<Device> make_timed(const MeasureRequest& request) {
    TD_EXPECT(request.machine.has_value());
    const Precision precision = request.workload.setup.precision;
    return make_timed_device(
        {.duration = [machine = *request.machine,
                      precision](const ComputeOp& op) { return op_time(machine, op, precision); },
         .name = request.machine->device,
         .precision = precision,
         .peak = gemm_rate(*request.machine, precision).peak,
         .memory_limit = request.machine->memory});
}

}  // namespace

std::unique_ptr<Device> make_device(const MeasureRequest& request, const RankResources& resources) {
    switch (request.device) {
        case DeviceKind::cpu:
            return make_cpu(request, resources);
        case DeviceKind::timed:
            return make_timed(request);
    }
    return nullptr;
}

}  // namespace traindyno
