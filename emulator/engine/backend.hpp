// SPDX-License-Identifier: Apache-2.0
// What steps run on: a device, whatever carries the traffic, and the runner that joins them.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "emulator/device/device.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno {

/// Makes this rank's part of a point. Objects are made in the order below and die in reverse.
class Backend {
  public:
    virtual ~Backend() = default;

    /// A fresh device; its memory goes with it after the point.
    [[nodiscard]] virtual std::unique_ptr<Device> make_device() = 0;

    /// A communicator over the same ranks for the traffic of `program`, in memory of `device`; null
    /// where `ranks` itself is to carry it. Collective.
    [[nodiscard]] virtual std::unique_ptr<Communicator> make_traffic(
        Communicator& ranks, Device& device, const StepProgram& program) = 0;

    /// The runner of order.program(), which `device` is prepared for. What the arguments refer to
    /// outlives it. Collective over `ranks`; `groups` were split from make_traffic's communicator.
    [[nodiscard]] virtual std::unique_ptr<StepRunner> make_runner(const IssueOrder& order,
                                                                  Device& device,
                                                                  Communicator& ranks,
                                                                  const GroupCommunicators& groups,
                                                                  RunnerOptions options) = 0;
};

}  // namespace traindyno
