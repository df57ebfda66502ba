// SPDX-License-Identifier: Apache-2.0
// Owners of CUDA runtime objects, and the check of its calls.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "emulator/base/error.hpp"
#include "emulator/base/unique_handle.hpp"
#include "emulator/base/units.hpp"
#include "emulator/device/cuda/cuda_options.hpp"

namespace traindyno {

/// The GPU has no room for an allocation.
class OutOfDeviceMemory : public LibraryError {
  public:
    using LibraryError::LibraryError;
};

/// Throws LibraryError unless `code` is success: OutOfDeviceMemory where that is why.
void check_cuda(cudaError_t code, const char* call, Where where);

struct StreamTraits {
    using Handle = cudaStream_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle stream) noexcept;
};

struct EventTraits {
    using Handle = cudaEvent_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle event) noexcept;
};

using CudaStream = UniqueHandle<StreamTraits>;
using CudaEvent = UniqueHandle<EventTraits>;

enum class EventTiming : std::uint8_t { off, on };

/// A stream that does not synchronise with the legacy default stream.
[[nodiscard]] CudaStream make_stream(StreamPriority priority = StreamPriority::normal);
[[nodiscard]] CudaEvent make_event(EventTiming timing);

/// True once everything recorded before the event is done. Throws LibraryError for a failed kernel.
[[nodiscard]] bool is_complete(cudaEvent_t event);

/// What the current device can still give.
[[nodiscard]] Bytes free_device_memory();

enum class CudaMemory : std::uint8_t {
    device,  ///< freed with cudaFree, which waits for the device
    pinned,  ///< on the host, page-locked: copies to and from it run beside kernels
};

/// Owner of memory for a GPU.
template <CudaMemory kind>
class CudaBytes {
  public:
    CudaBytes() = default;
    explicit CudaBytes(Bytes size);

    [[nodiscard]] std::byte* data() const { return memory_.get(); }

    [[nodiscard]] Bytes size() const { return size_; }

  private:
    struct Traits {
        using Handle = std::byte*;

        static Handle null() { return nullptr; }

        static void destroy(Handle memory) noexcept;
    };

    UniqueHandle<Traits> memory_;
    Bytes size_{0};
};

extern template class CudaBytes<CudaMemory::device>;
extern template class CudaBytes<CudaMemory::pinned>;

using DeviceBytes = CudaBytes<CudaMemory::device>;
using PinnedBytes = CudaBytes<CudaMemory::pinned>;

}  // namespace traindyno

#define TD_CUDA(call) ::traindyno::check_cuda((call), #call, ::traindyno::Where::here())
