// SPDX-License-Identifier: Apache-2.0
// The entry of libtraindyno_cuda.so.
#include <memory>
#include <optional>
#include <string_view>

#include "collectives/nccl/nccl_set_up.hpp"
#include "emulator/gpu/cuda_backend.hpp"
#include "emulator/gpu/cuda_traffic.hpp"
#include "emulator/gpu/inventory.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

namespace {

class CudaModule final : public GpuModule {
  public:
    void set_up(GpuSharing sharing, WorldRank rank) override { nccl_.emplace(sharing, rank); }

    [[nodiscard]] GpuInventory inventory() override { return cuda_inventory(); }

    [[nodiscard]] std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
        return make_cuda_backend(options);
    }

    [[nodiscard]] std::unique_ptr<GpuTraffic> make_traffic(int ordinal,
                                                           const NcclOptions& nccl) override {
        return make_cuda_traffic(ordinal, nccl);
    }

    [[nodiscard]] std::vector<std::string> network() override {
        return nccl_ ? nccl_->topology() : std::vector<std::string>{};
    }

  private:
    std::optional<NcclSetUp> nccl_;
};

}  // namespace

}  // namespace traindyno

/// The module, when it was built as a part of `build`; null otherwise.
extern "C" traindyno::GpuModule* traindyno_gpu_module(const char* build) {
    static traindyno::CudaModule module;
    return std::string_view(build) == TRAINDYNO_BUILD ? &module : nullptr;
}
