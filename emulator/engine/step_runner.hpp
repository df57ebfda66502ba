// SPDX-License-Identifier: Apache-2.0
// What runs the steps of one rank's program and returns their traces.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/units.hpp"
#include "emulator/engine/blocking_caller.hpp"
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

struct RunnerOptions {
    SimTime timeout = std::chrono::seconds{120};  ///< nothing completing for this long is a hang
    Waiting waiting = Waiting::poll;
};

/// communicators[i] carries the traffic of StepProgram::groups[i]; null where the group is unused.
using GroupCommunicators = std::vector<std::unique_ptr<Communicator>>;

/// Its outstanding() lists task, operation, group and bytes.
class StepRunner : public BlockingCaller {
  public:
    /// Runs one step to its end. Throws HangError when nothing completes for
    /// RunnerOptions::timeout.
    [[nodiscard]] virtual StepTrace run_step(Traffic traffic, Tracing tracing) = 0;

    /// What carries a communication (Communicator::carrier).
    [[nodiscard]] virtual std::string_view carrier(OpIndex index) const = 0;

    /// Checks of all steps so far.
    [[nodiscard]] virtual ReductionChecks checks() = 0;
};

}  // namespace traindyno
