// SPDX-License-Identifier: Apache-2.0
// What the engine needs from hardware: an asynchronous in-order compute queue and memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// When something ran, on the monotonic clock of this host (`now()`).
struct Interval {
    SimTime begin{0};
    SimTime end{0};

    friend bool operator==(const Interval&, const Interval&) = default;
};

/// Monotonic time of this host, shared by all processes of one boot.
[[nodiscard]] SimTime now();

/// Number of a submitted operation, counted from 0 since `prepare`.
using Ticket = std::int64_t;

enum class CopyDirection : std::uint8_t { to_host, to_device };

struct DeviceInfo {
    std::string kind;          ///< "cpu", "timed"
    std::string name;          ///< "AMD EPYC 7B13, cores 0-3"
    std::int64_t threads = 0;  ///< compute threads; 0 where that means nothing
    Precision precision = Precision::fp32;
    FlopRate peak{0};                  ///< dense peak for the precision; 0 = unknown
    std::vector<std::string> notes{};  ///< what a reader should know of how it computes
};

/// One rank's compute hardware. Operations run in submission order; submit returns at once.
/// All calls come from one thread.
class Device {
  public:
    virtual ~Device() = default;

    /// Allocates the program's spaces (first touched by the compute threads, random normal) and
    /// builds every kernel it needs. Throws ConfigError when it does not fit. Called once per
    /// program.
    virtual void prepare(const StepProgram& program) = 0;
    /// Queues `op` of `task`; both must belong to the prepared program and outlive completion.
    virtual Ticket submit(const ComputeOp& op, const Task& task) = 0;
    /// How many operations have completed: ticket t is complete when t < completed().
    [[nodiscard]] virtual Ticket completed() = 0;
    /// When a completed operation ran. Valid for the last 2^16 tickets.
    [[nodiscard]] virtual Interval interval(Ticket ticket) const = 0;
    /// Sleeps until completed() has grown past `seen` or `deadline` has passed; burns no core.
    virtual void wait(Ticket seen, SimTime deadline) = 0;
    /// Memory of a slice, for communicators: device memory where the device has its own.
    [[nodiscard]] virtual std::span<std::byte> memory(const Slice& slice, const Task& task) = 0;
    /// Copies every `stride`-th element of a slice, from its first on, from or to `host`, where
    /// they lie packed. No outstanding operation may touch them. Returns once it is done.
    virtual void copy(CopyDirection direction,
                      const Slice& slice,
                      const Task& task,
                      std::int64_t stride,
                      std::span<std::byte> host) = 0;
    [[nodiscard]] virtual DeviceInfo info() const = 0;
};

}  // namespace traindyno
