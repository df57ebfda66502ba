// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/cuda_backend.hpp"

#include <utility>

#include "collectives/staged/cuda_staging.hpp"
#include "collectives/staged/staged_communicator.hpp"
#include "emulator/base/error.hpp"
#include "emulator/device/cuda/cuda_device.hpp"
#include "emulator/engine/cuda/stream_runner.hpp"
#include "emulator/engine/host_driven.hpp"

namespace traindyno {

namespace {

/// NCCL allocates at its first operations, after the model: per channel and neighbour a buffer for
/// each protocol, about 9.5 MiB (NCCL 2.28.9, src/include/device.h), on up to 32 channels, and more
/// for its trees and NVLS. A guess to be measured on 8 GPUs.
constexpr Bytes nccl_memory{512LL * 1024 * 1024};

class NcclBackend final : public Backend {
  public:
    explicit NcclBackend(GpuOptions options) : options_(std::move(options)) {
        options_.device.memory_per_group = nccl_memory;
    }

    [[nodiscard]] std::unique_ptr<Device> make_device() override {
        return std::make_unique<CudaDevice>(options_.device);
    }

    /// None: the runner makes NCCL's own communicators, whose work goes to streams.
    [[nodiscard]] std::unique_ptr<Communicator> make_traffic(
        Communicator& /*ranks*/, Device& /*device*/, const StepProgram& /*program*/) override {
        return nullptr;
    }

    [[nodiscard]] std::unique_ptr<StepRunner> make_runner(const IssueOrder& order,
                                                          Device& device,
                                                          Communicator& ranks,
                                                          const GroupCommunicators& /*groups*/,
                                                          RunnerOptions options) override {
        auto* cuda = dynamic_cast<CudaDevice*>(&device);
        TD_EXPECT(cuda != nullptr);
        return std::make_unique<StreamRunner>(
            order,
            *cuda,
            ranks,
            StreamRunnerOptions{
                .runner = options, .launch = options_.launch, .groups = options_.groups});
    }

  private:
    GpuOptions options_;
};

class StagedBackend final : public HostDrivenBackend {
  public:
    explicit StagedBackend(GpuOptions options) : options_(std::move(options)) {}

    [[nodiscard]] std::unique_ptr<Device> make_device() override {
        return std::make_unique<CudaDevice>(options_.device);
    }

    [[nodiscard]] std::unique_ptr<Communicator> make_traffic(
        Communicator& ranks, Device& /*device*/, const StepProgram& /*program*/) override {
        return make_staged_communicator(
            ranks.split(0, static_cast<std::int32_t>(ranks.rank().value())), make_cuda_staging());
    }

  private:
    GpuOptions options_;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(const GpuOptions& options) {
    switch (options.collectives) {
        case GpuCollectives::nccl:
            return std::make_unique<NcclBackend>(options);
        case GpuCollectives::mpi:
            return std::make_unique<StagedBackend>(options);
    }
    return nullptr;
}

}  // namespace traindyno
