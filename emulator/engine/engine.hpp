// SPDX-License-Identifier: Apache-2.0
// Runs a step program for real: compute on a Device, traffic through Communicators.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/device/device.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/engine/stream_schedule.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno {

/// Executes steps of one program. One host thread posts communications, submits compute and
/// advances both; the device computes on its own. References must outlive the engine; the device
/// must have been prepared with the same program.
class Engine final : public StepRunner {
  public:
    Engine(const IssueOrder& order,
           Device& device,
           const GroupCommunicators& communicators,
           RunnerOptions options);

    [[nodiscard]] StepTrace run_step(Traffic traffic, Tracing tracing) override;

    [[nodiscard]] std::string_view carrier(OpIndex index) const override;

    [[nodiscard]] ReductionChecks checks() override { return checks_; }

    [[nodiscard]] std::string outstanding() const override;

    [[nodiscard]] SimTime blocked_since() const override {
        return SimTime{blocked_since_.load(std::memory_order_relaxed)};
    }

  private:
    struct LaneState {
        std::size_t next = 0;  ///< position of the next operation to issue in the lane
        std::optional<OpIndex> in_flight;
        Pending pending;
    };

    void begin_step(Traffic traffic);
    bool harvest_compute();
    bool advance_communication();
    bool issue();
    bool issue_compute();
    bool issue_communication(Lane which);
    void post(OpIndex index, LaneState& lane);
    [[nodiscard]] Pending start(OpIndex index);
    [[nodiscard]] Pending start(OpIndex index, const Collective& op);
    [[nodiscard]] Urgency urgency(OpIndex index) const;
    void complete(OpIndex index);
    [[nodiscard]] std::uint32_t check_key(OpIndex index);
    void verify(OpIndex index);
    [[nodiscard]] std::span<std::byte> marks_for(const Slice& part, DType type);
    void copy_marks(CopyDirection direction, const Slice& buffer, const Task& task);
    void idle(SimTime last_progress);
    [[nodiscard]] bool ready(OpIndex index) const;

    [[nodiscard]] LaneState& state(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }

    const IssueOrder& order_;
    StreamSchedule schedule_;
    Device& device_;
    const GroupCommunicators& communicators_;
    RunnerOptions options_;
    Traffic traffic_ = Traffic::real;

    std::vector<std::uint8_t> done_;
    std::vector<Span> spans_;
    std::array<LaneState, enum_count<Lane>> lanes_;
    std::size_t remaining_ = 0;
    std::size_t communications_in_flight_ = 0;
    Ticket first_ticket_ = 0;  ///< ticket of the step's first compute operation
    Ticket submitted_ = 0;     ///< tickets handed out since the device was prepared
    Ticket harvested_ = 0;     ///< tickets seen complete
    SimTime poll_interval_{0};
    std::atomic<std::int64_t> blocked_since_{0};
    ReductionChecks checks_;
    std::vector<std::byte> marks_;  ///< of the buffer in hand; kept to allocate once
};

}  // namespace traindyno
