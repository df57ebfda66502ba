// SPDX-License-Identifier: Apache-2.0
// Runs a step program for real: compute on a Device, traffic through Communicators.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/device/device.hpp"
#include "emulator/program/step_program.hpp"
#include "emulator/trace/trace.hpp"

namespace traindyno {

/// Whether communication really happens. `removed` completes every communication at once.
enum class Traffic : std::uint8_t { real, removed };
enum class Tracing : std::uint8_t { off, on };

struct EngineOptions {
    SimTime timeout = std::chrono::seconds{120};  ///< no progress for this long is a hang
    bool oversubscribed = false;  ///< sleep instead of polling while ranks outnumber cores
};

/// In-step verification of reduced values.
struct ReductionChecks {
    std::int64_t checked = 0;
    std::int64_t wrong = 0;
};

/// Index in `program.groups` -> communicator of that group.
using GroupCommunicators = std::vector<std::unique_ptr<Communicator>>;

/// Executes steps of one program. Host-driven: one thread posts communications, submits compute and
/// advances both. References must outlive the engine.
class Engine {
  public:
    Engine(const StepProgram& program,
           Device& device,
           GroupCommunicators& communicators,
           EngineOptions options);

    /// Runs one step to the end. The trace is empty (but for begin and end) when tracing is off.
    /// Throws HangError when nothing completes for options.timeout.
    [[nodiscard]] StepTrace run_step(Traffic traffic, Tracing tracing);

    [[nodiscard]] ReductionChecks checks() const;
};

}  // namespace traindyno
