// SPDX-License-Identifier: Apache-2.0
// Attention as cuDNN's fused kernels.
#pragma once

#include <memory>
#include <string>

#include "emulator/base/unique_handle.hpp"
#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/attention/cudnn_library.hpp"

namespace traindyno::cuda {

/// cuDNN's state on the current device, and the stream it launches on.
class CudnnHandle {
  public:
    explicit CudnnHandle(const CudnnLibrary& cudnn);

    [[nodiscard]] cudnnHandle_t get() const { return owner_.get().handle; }

    [[nodiscard]] cudnnHandle_t on(cudaStream_t stream);

  private:
    struct Traits {
        struct Handle {
            const CudnnLibrary* library = nullptr;
            cudnnHandle_t handle = nullptr;

            friend bool operator==(const Handle&, const Handle&) = default;
        };

        static Handle null() { return {}; }

        static void destroy(const Handle& handle) noexcept;
    };

    UniqueHandle<Traits> owner_;
    cudaStream_t stream_ = nullptr;
};

struct Fused {
    std::unique_ptr<Attention> attention;  ///< empty when there is a problem
    std::string problem;
};

/// `cudnn` and `handle` outlive what is made. `storage` is the type of activations.
[[nodiscard]] Fused make_fused(const CudnnLibrary& cudnn,
                               CudnnHandle& handle,
                               const AttentionShape& shape,
                               DType storage);

}  // namespace traindyno::cuda
