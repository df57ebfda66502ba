// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/cuda_device.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/capability.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/sleep_until.hpp"

namespace traindyno {

namespace {

/// Intervals that Device::interval remembers.
constexpr std::size_t history = std::size_t{1} << 16;

/// Pauses of wait(): the first look comes soon, later ones leave the core alone.
constexpr SimTime first_pause = std::chrono::microseconds{20};
constexpr SimTime longest_pause = std::chrono::milliseconds{1};

/// Far from its anchor the clock grows coarse (EventClock).
constexpr SimTime anchor_lasts = std::chrono::seconds{1};

/// The device becomes current before any member is made on it.
CudaOptions select_device(const CudaOptions& options) {
    TD_CUDA(cudaSetDevice(options.ordinal));
    require_precision(options.ordinal, options.precision);
    require_multiprocessors(options.ordinal, options.reserved_sms);
    return options;
}

}  // namespace

CudaDevice::CudaDevice(const CudaOptions& options)
    : options_(select_device(options)),
      name_(device_name(options.ordinal)),
      stream_(make_stream()),
      copies_(make_stream()) {}

void CudaDevice::prepare(const StepProgram& program) {
    TD_EXPECT(program.precision == options_.precision);
    TD_CUDA(cudaStreamSynchronize(stream_.get()));
    while (!queue_.empty()) {
        spare_.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    intervals_.clear();
    completed_ = 0;
    executor_.reset();  // what it holds is available to its successor
    const Bytes free = free_device_memory();
    try {
        executor_ = std::make_unique<CudaExecutor>(program, options_, stream_.get());
    } catch (const OutOfDeviceMemory&) {
        // Tuning holds the operands of one product at a time, and others may use the GPU, too.
        refuse_memory(memory_items(program), free, "and to tune; the GPU had free");
    }
    TD_CUDA(cudaStreamSynchronize(stream_.get()));
}

CudaDevice::Timed CudaDevice::take_events() {
    if (spare_.empty()) {
        return {.begin = make_event(EventTiming::on), .end = make_event(EventTiming::on)};
    }
    Timed events = std::move(spare_.back());
    spare_.pop_back();
    return events;
}

Ticket CudaDevice::submit(const ComputeOp& op, const Task& task) {
    if (queue_.empty() && now() - clock_.anchored_at() > anchor_lasts) {
        clock_.anchor();
    }
    Timed events = take_events();
    TD_CUDA(cudaEventRecord(events.begin.get(), stream_.get()));
    launch(op, task);
    TD_CUDA(cudaEventRecord(events.end.get(), stream_.get()));
    queue_.push_back(std::move(events));
    return completed_ + static_cast<Ticket>(queue_.size()) - 1;
}

Ticket CudaDevice::completed() {
    while (!queue_.empty() && is_complete(queue_.front().end.get())) {
        const Timed& done = queue_.front();
        intervals_.push_back(
            {.begin = clock_.host_time(done.begin.get()), .end = clock_.host_time(done.end.get())});
        spare_.push_back(std::move(queue_.front()));
        queue_.pop_front();
        ++completed_;
    }
    while (intervals_.size() > history) {
        intervals_.pop_front();
    }
    return completed_;
}

Interval CudaDevice::interval(Ticket ticket) const {
    const Ticket first = completed_ - static_cast<Ticket>(intervals_.size());
    TD_EXPECT(ticket >= first && ticket < completed_);
    return intervals_[static_cast<std::size_t>(ticket - first)];
}

void CudaDevice::wait(Ticket seen, SimTime deadline) {
    if (queue_.empty() && completed_ <= seen) {
        while (now() < deadline) {
            sleep_until(deadline);
        }
        return;
    }
    for (SimTime pause = first_pause; completed() <= seen && now() < deadline;
         pause = std::min(pause * 2, longest_pause)) {
        sleep_until(std::min(now() + pause, deadline));
    }
}

std::span<std::byte> CudaDevice::memory(const Slice& slice, const Task& task) {
    TD_EXPECT(executor_);
    return executor_->memory().at(slice, task);
}

void CudaDevice::copy(CopyDirection direction,
                      const Slice& slice,
                      const Task& task,
                      std::int64_t stride,
                      std::span<std::byte> host) {
    TD_EXPECT(executor_);
    executor_->memory().copy(direction, slice, task, stride, host, copies_.get());
}

DeviceInfo CudaDevice::info() const {
    return {.kind = "cuda",
            .name = name_,
            .threads = 0,
            .precision = options_.precision,
            .peak = options_.peak,
            .notes = executor_ ? executor_->notes() : std::vector<std::string>{}};
}

}  // namespace traindyno
