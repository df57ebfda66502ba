// SPDX-License-Identifier: Apache-2.0
// A device that computes on one NVIDIA GPU.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "emulator/device/cuda/cuda_options.hpp"
#include "emulator/device/cuda/event_clock.hpp"
#include "emulator/device/cuda/executor.hpp"
#include "emulator/device/device.hpp"

namespace traindyno {

/// Operations run on one stream. `submit` times each with a pair of events; a runner that drives
/// streams of its own uses `launch` instead. All calls from the thread that made the device.
class CudaDevice final : public Device {
  public:
    /// Makes options.ordinal the current device of this thread. Throws ConfigError when it lacks
    /// the precision.
    explicit CudaDevice(const CudaOptions& options);

    void prepare(const StepProgram& program) override;
    Ticket submit(const ComputeOp& op, const Task& task) override;
    [[nodiscard]] Ticket completed() override;
    [[nodiscard]] Interval interval(Ticket ticket) const override;
    void wait(Ticket seen, SimTime deadline) override;
    [[nodiscard]] std::span<std::byte> memory(const Slice& slice, const Task& task) override;
    void copy(CopyDirection direction,
              const Slice& slice,
              const Task& task,
              std::int64_t stride,
              std::span<std::byte> host) override;
    [[nodiscard]] DeviceInfo info() const override;

    /// Launches `op` of the prepared program on stream().
    void launch(const ComputeOp& op, const Task& task) { executor_->run(op, task); }

    [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }

    [[nodiscard]] EventClock& clock() { return clock_; }

  private:
    struct Timed {
        CudaEvent begin;
        CudaEvent end;
    };

    [[nodiscard]] Timed take_events();

    CudaOptions options_;
    std::string name_;
    CudaStream stream_;
    CudaStream copies_;
    EventClock clock_;
    std::unique_ptr<CudaExecutor> executor_;
    std::deque<Timed> queue_;         ///< submitted and not seen complete, oldest first
    std::vector<Timed> spare_;        ///< events to use again
    std::deque<Interval> intervals_;  ///< of the last completed tickets
    Ticket completed_ = 0;
};

}  // namespace traindyno
