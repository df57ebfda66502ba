// SPDX-License-Identifier: Apache-2.0
// The part of backends whose steps a host thread drives (Engine).
#pragma once

#include <memory>

#include "emulator/engine/backend.hpp"

namespace traindyno {

/// Leaves the device open. The ranks' own communicator carries the traffic unless overridden.
class HostDrivenBackend : public Backend {
  public:
    [[nodiscard]] std::unique_ptr<Communicator> make_traffic(Communicator& ranks,
                                                             Device& device,
                                                             const StepProgram& program) override;

    [[nodiscard]] std::unique_ptr<StepRunner> make_runner(const IssueOrder& order,
                                                          Device& device,
                                                          Communicator& ranks,
                                                          const GroupCommunicators& groups,
                                                          RunnerOptions options) final;
};

}  // namespace traindyno
