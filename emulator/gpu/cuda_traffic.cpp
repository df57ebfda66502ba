// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/cuda_traffic.hpp"

#include <algorithm>
#include <utility>

#include "collectives/nccl/nccl_communicator.hpp"
#include "collectives/staged/cuda_staging.hpp"
#include "collectives/staged/staged_communicator.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

class CudaTraffic final : public GpuTraffic {
  public:
    explicit CudaTraffic(NcclOptions nccl) : nccl_(std::move(nccl)) {}

    [[nodiscard]] std::shared_ptr<std::byte> allocate(std::size_t bytes) override {
        const auto size = static_cast<std::int64_t>(std::max(bytes, std::size_t{1}));
        const auto block = std::make_shared<DeviceBytes>(Bytes{size});
        TD_CUDA(cudaMemset(block->data(), 0, static_cast<std::size_t>(size)));
        TD_CUDA(cudaDeviceSynchronize());  // before other streams touch it
        return {block, block->data()};
    }

    [[nodiscard]] std::shared_ptr<HostStaging> make_staging() override {
        return make_cuda_staging();
    }

    [[nodiscard]] std::unique_ptr<Communicator> make_communicator(
        GpuCollectives carrier, std::unique_ptr<Communicator> ranks) override {
        switch (carrier) {
            case GpuCollectives::nccl:
                return make_nccl_communicator(std::move(ranks), nccl_);
            case GpuCollectives::mpi:
                return make_staged_communicator(std::move(ranks), make_cuda_staging());
        }
        return nullptr;
    }

  private:
    NcclOptions nccl_;
};

}  // namespace

std::unique_ptr<GpuTraffic> make_cuda_traffic(int ordinal, const NcclOptions& nccl) {
    TD_CUDA(cudaSetDevice(ordinal));
    return std::make_unique<CudaTraffic>(nccl);
}

}  // namespace traindyno
