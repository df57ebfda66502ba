// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/host_driven.hpp"

#include "emulator/engine/engine.hpp"

namespace traindyno {

std::unique_ptr<Communicator> HostDrivenBackend::make_traffic(Communicator& /*ranks*/,
                                                              Device& /*device*/,
                                                              const StepProgram& /*program*/) {
    return nullptr;
}

std::unique_ptr<StepRunner> HostDrivenBackend::make_runner(const IssueOrder& order,
                                                           Device& device,
                                                           Communicator& /*ranks*/,
                                                           const GroupCommunicators& groups,
                                                           RunnerOptions options) {
    return std::make_unique<Engine>(order, device, groups, options);
}

}  // namespace traindyno
