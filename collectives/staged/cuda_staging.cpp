// SPDX-License-Identifier: Apache-2.0
#include "collectives/staged/cuda_staging.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <utility>
#include <vector>

#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

/// What goes round: page-locked blocks by size, and events.
struct Spare {
    std::multimap<std::size_t, PinnedBytes> blocks;
    std::vector<CudaEvent> events;
};

class CopyOperation final : public Pending::Operation {
  public:
    CopyOperation(CudaEvent event, std::shared_ptr<Spare> spare)
        : event_(std::move(event)), spare_(std::move(spare)) {}

    ~CopyOperation() override {
        if (std::uncaught_exceptions() == 0) {
            if (const cudaError_t state = cudaEventSynchronize(event_.get());
                state != cudaSuccess) {
                std::fprintf(stderr,
                             "traindyno: CUDA failed: %s (cudaEventSynchronize)\n",
                             cudaGetErrorString(state));
            }
        }
        spare_->events.push_back(std::move(event_));
    }

    CopyOperation(const CopyOperation&) = delete;
    CopyOperation& operator=(const CopyOperation&) = delete;
    CopyOperation(CopyOperation&&) = delete;
    CopyOperation& operator=(CopyOperation&&) = delete;

    [[nodiscard]] bool advance() override { return is_complete(event_.get()); }

  private:
    CudaEvent event_;
    std::shared_ptr<Spare> spare_;
};

class CudaStaging final : public HostStaging {
  public:
    [[nodiscard]] std::shared_ptr<std::byte> lend(std::size_t size) override {
        PinnedBytes block = take(size);
        std::byte* const data = block.data();
        const std::size_t capacity = static_cast<std::size_t>(block.size().value());
        auto owner = std::make_shared<PinnedBytes>(std::move(block));
        const auto give_back = [owner, capacity, spare = spare_](std::byte* /*data*/) {
            spare->blocks.emplace(capacity, std::move(*owner));
        };
        return {data, give_back};
    }

    Pending to_host(std::span<const std::byte> device, std::span<std::byte> host) override {
        TD_EXPECT(device.size() == host.size());
        return copy(host.data(), device.data(), host.size(), cudaMemcpyDeviceToHost, down_.get());
    }

    Pending to_device(std::span<const std::byte> host, std::span<std::byte> device) override {
        TD_EXPECT(device.size() == host.size());
        return copy(device.data(), host.data(), host.size(), cudaMemcpyHostToDevice, up_.get());
    }

  private:
    /// A spare block of its power of two, or a new one: a small buffer must not take a large one's
    /// block, or a step could allocate that finds its buffers coming back in another order.
    [[nodiscard]] PinnedBytes take(std::size_t size) {
        constexpr std::size_t smallest = 4096;
        const std::size_t capacity = std::bit_ceil(std::max(size, smallest));
        const auto found = spare_->blocks.find(capacity);
        if (found == spare_->blocks.end()) {
            return PinnedBytes{Bytes{static_cast<std::int64_t>(capacity)}};
        }
        PinnedBytes block = std::move(found->second);
        spare_->blocks.erase(found);
        return block;
    }

    [[nodiscard]] Pending copy(
        void* to, const void* from, std::size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
        TD_CUDA(cudaMemcpyAsync(to, from, size, kind, stream));
        CudaEvent event;
        if (spare_->events.empty()) {
            event = make_event(EventTiming::off);
        } else {
            event = std::move(spare_->events.back());
            spare_->events.pop_back();
        }
        TD_CUDA(cudaEventRecord(event.get(), stream));
        return Pending{std::make_unique<CopyOperation>(std::move(event), spare_)};
    }

    std::shared_ptr<Spare> spare_ = std::make_shared<Spare>();
    CudaStream down_ = make_stream(StreamPriority::highest);
    CudaStream up_ = make_stream(StreamPriority::highest);
};

}  // namespace

std::shared_ptr<HostStaging> make_cuda_staging() {
    return std::make_shared<CudaStaging>();
}

}  // namespace traindyno
