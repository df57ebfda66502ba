// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/timed/timed_device.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include <sys/prctl.h>

#include "emulator/base/error.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/sleep_until.hpp"
#include "emulator/device/space_memory.hpp"

namespace traindyno {

namespace {

class TimedDevice final : public Device {
  public:
    explicit TimedDevice(TimedOptions options) : options_(std::move(options)) {
        TD_EXPECT(options_.duration);
    }

    void prepare(const StepProgram& program) override {
        if (options_.memory_limit > Bytes{0}) {
            require_fit(memory_items(program), options_.memory_limit, options_.name + " has");
        }
        memory_ = SpaceMemory(program, Paging::lazy);
        intervals_.clear();
        first_ = 0;
        completed_ = 0;
        prctl(PR_SET_TIMERSLACK, 1UL);  // ns, of the calling thread: the default adds 50 us
    }

    Ticket submit(const ComputeOp& op, const Task& /*task*/) override {
        const SimTime free = intervals_.empty() ? SimTime{0} : intervals_.back().end;
        const SimTime begin = std::max(now(), free);
        const SimTime duration = options_.duration(op);
        TD_EXPECT(duration >= SimTime{0});
        intervals_.push_back({.begin = begin, .end = begin + duration});
        return submitted() - 1;
    }

    [[nodiscard]] Ticket completed() override {
        const SimTime time = now();
        while (completed_ < submitted() && interval(completed_).end <= time) {
            ++completed_;
        }
        while (completed_ - first_ > history) {
            intervals_.pop_front();
            ++first_;
        }
        return completed_;
    }

    [[nodiscard]] Interval interval(Ticket ticket) const override {
        TD_EXPECT(ticket >= first_ && ticket < submitted());
        return intervals_[static_cast<std::size_t>(ticket - first_)];
    }

    void wait(Ticket seen, SimTime deadline) override {
        const SimTime grown = seen < first_        ? SimTime{0}
                              : seen < submitted() ? interval(seen).end
                                                   : SimTime::max();
        const SimTime until = std::min(grown, deadline);
        while (now() < until) {
            sleep_until(until);
        }
    }

    [[nodiscard]] std::span<std::byte> memory(const Slice& slice, const Task& task) override {
        return memory_.at(slice, task);
    }

    void copy(CopyDirection direction,
              const Slice& slice,
              const Task& task,
              std::int64_t stride,
              std::span<std::byte> host) override {
        memory_.copy(direction, slice, task, stride, host);
    }

    [[nodiscard]] DeviceInfo info() const override {
        return {.kind = "timed",
                .name = options_.name,
                .precision = options_.precision,
                .peak = options_.peak};
    }

  private:
    static constexpr Ticket history = Ticket{1} << 16;

    [[nodiscard]] Ticket submitted() const {
        return first_ + static_cast<Ticket>(intervals_.size());
    }

    TimedOptions options_;
    SpaceMemory memory_;
    std::deque<Interval> intervals_;  ///< tickets first_ and up: the queue and its recent past
    Ticket first_ = 0;
    Ticket completed_ = 0;
};

}  // namespace

std::unique_ptr<Device> make_timed_device(TimedOptions options) {
    return std::make_unique<TimedDevice>(std::move(options));
}

}  // namespace traindyno
