// SPDX-License-Identifier: Apache-2.0
// Who carries the traffic of ranks without GPUs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "collectives/auto/tuning_table.hpp"
#include "collectives/communicator.hpp"
#include "emulator/cli/backends.hpp"
#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/device/host_memory.hpp"

namespace traindyno {

/// Sets request.collectives and request.tuning from --collectives and --tuning.
void read_host_traffic(const FlagReader& read, MeasureRequest& request, Problems& problems);

/// What --tuning's file says, where there is one. ConfigError.
[[nodiscard]] TuningTable read_tuning(const MeasureRequest& request);

/// Memory that the ranks of each host share, where their traffic can use it; else null. `hosts`: of
/// every rank. Collective.
[[nodiscard]] std::shared_ptr<SharedHeap> make_host_heap(Communicator& world,
                                                         const std::vector<std::string>& hosts,
                                                         const MeasureRequest& request);

/// The ranks of this rank's host, in rank order. Collective.
[[nodiscard]] std::unique_ptr<Communicator> split_by_host(Communicator& world,
                                                          const std::vector<std::string>& hosts);

/// Arrays that are communicated come from memory that the other ranks of the host can address;
/// nothing without a heap.
[[nodiscard]] HostMemory lender_of(const std::shared_ptr<SharedHeap>& heap);

/// Backend::make_traffic; the choices made are added to `resources.tuning`.
[[nodiscard]] std::unique_ptr<Communicator> make_host_traffic(Communicator& ranks,
                                                              const StepProgram& program,
                                                              const MeasureRequest& request,
                                                              const RankResources& resources);

}  // namespace traindyno
