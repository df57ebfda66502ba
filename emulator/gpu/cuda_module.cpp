// SPDX-License-Identifier: Apache-2.0
// The entry of libtraindyno_cuda.so.
#include <memory>
#include <string_view>

#include "emulator/gpu/cuda_backend.hpp"
#include "emulator/gpu/inventory.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

namespace {

class CudaModule final : public GpuModule {
  public:
    [[nodiscard]] GpuInventory inventory() override { return cuda_inventory(); }

    [[nodiscard]] std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
        return make_cuda_backend(options);
    }
};

}  // namespace

}  // namespace traindyno

/// The module, when it was built as a part of `build`; null otherwise.
extern "C" traindyno::GpuModule* traindyno_gpu_module(const char* build) {
    static traindyno::CudaModule module;
    return std::string_view(build) == TRAINDYNO_BUILD ? &module : nullptr;
}
