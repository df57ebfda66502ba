// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

template <CudaMemory kind>
std::byte* allocate(Bytes size) {
    void* memory = nullptr;
    if (size > Bytes{0}) {
        const auto bytes = static_cast<std::size_t>(size.value());
        if constexpr (kind == CudaMemory::device) {
            TD_CUDA(cudaMalloc(&memory, bytes));
        } else {
            TD_CUDA(cudaMallocHost(&memory, bytes));
        }
    }
    return static_cast<std::byte*>(memory);
}

}  // namespace

void check_cuda(cudaError_t code, const char* call, Where where) {
    if (code == cudaSuccess) {
        return;
    }
    (void)cudaGetLastError();  // or the next check of a launch would find it again
    if (code == cudaErrorMemoryAllocation) {
        throw OutOfDeviceMemory("CUDA", code, cudaGetErrorString(code), call, where);
    }
    throw LibraryError("CUDA", code, cudaGetErrorString(code), call, where);
}

// Destroying an object after a failed kernel reports that failure again: it was thrown before.
void StreamTraits::destroy(Handle stream) noexcept {
    (void)cudaStreamDestroy(stream);
}

void EventTraits::destroy(Handle event) noexcept {
    (void)cudaEventDestroy(event);
}

CudaStream make_stream(StreamPriority priority) {
    int least = 0;
    int greatest = 0;
    TD_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    cudaStream_t stream = nullptr;
    TD_CUDA(cudaStreamCreateWithPriority(
        &stream, cudaStreamNonBlocking, priority == StreamPriority::highest ? greatest : least));
    return CudaStream(stream);
}

CudaEvent make_event(EventTiming timing) {
    cudaEvent_t event = nullptr;
    TD_CUDA(cudaEventCreateWithFlags(
        &event, timing == EventTiming::on ? cudaEventDefault : cudaEventDisableTiming));
    return CudaEvent(event);
}

bool is_complete(cudaEvent_t event) {
    const cudaError_t state = cudaEventQuery(event);
    if (state == cudaErrorNotReady) {
        return false;
    }
    check_cuda(state, "cudaEventQuery", Where::here());
    return true;
}

Bytes free_device_memory() {
    std::size_t free = 0;
    std::size_t total = 0;
    TD_CUDA(cudaMemGetInfo(&free, &total));
    return Bytes{static_cast<std::int64_t>(free)};
}

template <CudaMemory kind>
CudaBytes<kind>::CudaBytes(Bytes size) : memory_(allocate<kind>(size)), size_(size) {}

template <CudaMemory kind>
void CudaBytes<kind>::Traits::destroy(Handle memory) noexcept {
    if constexpr (kind == CudaMemory::device) {
        (void)cudaFree(memory);
    } else {
        (void)cudaFreeHost(memory);
    }
}

template class CudaBytes<CudaMemory::device>;
template class CudaBytes<CudaMemory::pinned>;

}  // namespace traindyno
