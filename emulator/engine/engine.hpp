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
#include "emulator/engine/reduction_check.hpp"
#include "emulator/program/issue_order.hpp"
#include "emulator/trace/trace.hpp"

namespace traindyno {

/// Whether communication happens. `removed` completes every communication at once.
enum class Traffic : std::uint8_t { real, removed };
enum class Tracing : std::uint8_t { off, on };

template <>
struct EnumNames<Tracing> {
    static constexpr auto names = enum_table<Tracing>("off", "on");
};

/// How the host thread waits while only communication is outstanding.
enum class Waiting : std::uint8_t {
    poll,   ///< test again at once: lowest latency, needs a core
    sleep,  ///< sleep between tests: for ranks that outnumber the cores
};

struct EngineOptions {
    SimTime timeout = std::chrono::seconds{120};  ///< nothing completing for this long is a hang
    Waiting waiting = Waiting::poll;
};

/// communicators[i] carries the traffic of StepProgram::groups[i]; null where the group is unused.
using GroupCommunicators = std::vector<std::unique_ptr<Communicator>>;

/// Executes steps of one program. One host thread posts communications, submits compute and
/// advances both; the device computes on its own. References must outlive the engine; the device
/// must have been prepared with the same program.
class Engine {
  public:
    Engine(const IssueOrder& order,
           Device& device,
           GroupCommunicators& communicators,
           EngineOptions options);

    /// Runs one step to its end. Throws HangError when nothing completes for options.timeout.
    [[nodiscard]] StepTrace run_step(Traffic traffic, Tracing tracing);

    /// Checks of all steps so far.
    [[nodiscard]] ReductionChecks checks() const { return checks_; }

    /// What is outstanding, one line each: task, operation, group, bytes. For hang reports; another
    /// thread may call it only while blocked_since() is set.
    [[nodiscard]] std::string outstanding() const;

    /// Since when the calling thread has been inside a blocking collective; 0 = it is not. May be
    /// read from another thread.
    [[nodiscard]] SimTime blocked_since() const {
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
    [[nodiscard]] Pending all_reduce(OpIndex index,
                                     const AllReduce& op,
                                     std::span<std::byte> buffer,
                                     Communicator& group);
    [[nodiscard]] Urgency urgency() const;
    void complete(OpIndex index);
    [[nodiscard]] std::uint32_t check_key(OpIndex index);
    void verify(OpIndex index);
    void idle(SimTime last_progress);
    [[nodiscard]] bool ready(OpIndex index) const;

    [[nodiscard]] LaneState& state(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }

    [[nodiscard]] std::string describe(OpIndex index) const;

    const IssueOrder& order_;
    Device& device_;
    GroupCommunicators& communicators_;
    EngineOptions options_;
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
};

}  // namespace traindyno
