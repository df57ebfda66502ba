// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/backends.hpp"

#include "emulator/base/error.hpp"
#include "emulator/cli/host_traffic.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/host_driven.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

namespace {

std::unique_ptr<Device> make_cpu(const MeasureRequest& request, const RankResources& resources) {
    const Bytes share{available_memory().value() / resources.local_size};
    return make_cpu_device({.cores = resources.cores,
                            .threads = static_cast<int>(request.threads.value_or(
                                static_cast<std::int64_t>(resources.cores.size()))),
                            .precision = request.workload.setup.precision,
                            .seed = static_cast<unsigned>(request.measure.seed),
                            .memory_limit = share,
                            .shared = lender_of(resources.heap)});
}

std::unique_ptr<Device> make_timed(const MeasureRequest& request) {
    TD_EXPECT(request.machine.has_value());
    const Precision precision = request.workload.setup.precision;
    return make_timed_device(
        {.duration = [machine = *request.machine,
                      precision,
                      gradient = request.workload.setup.gradient_type](
                         const ComputeOp& op) { return op_time(machine, op, precision, gradient); },
         .name = request.machine->device,
         .precision = precision,
         .peak = gemm_rate(*request.machine, precision).peak,
         .memory_limit = request.machine->memory});
}

/// On a CPU, or on nothing but a clock.
class CpuBackend final : public HostDrivenBackend {
  public:
    CpuBackend(const MeasureRequest& request, const RankResources& resources)
        : request_(request), resources_(resources) {}

    [[nodiscard]] std::unique_ptr<Device> make_device() override {
        return request_.device == DeviceKind::cpu ? make_cpu(request_, resources_)
                                                  : make_timed(request_);
    }

    [[nodiscard]] std::unique_ptr<Communicator> make_traffic(Communicator& ranks,
                                                             Device& /*device*/,
                                                             const StepProgram& program) override {
        return make_host_traffic(ranks, program, request_, resources_);
    }

  private:
    const MeasureRequest& request_;
    const RankResources& resources_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(const MeasureRequest& request,
                                      const RankResources& resources) {
    if (request.device != DeviceKind::cuda) {
        return std::make_unique<CpuBackend>(request, resources);
    }
    GpuModule* module = find_gpu_module().module;
    TD_EXPECT(module != nullptr && resources.gpu);
    bind_this_thread(resources.cores);  // before NCCL starts threads, which keep to the same cores
    GpuOptions options = request.gpu;
    options.device.ordinal = resources.gpu->ordinal;
    return module->make_backend(options);
}

}  // namespace traindyno
