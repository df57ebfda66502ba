// SPDX-License-Identifier: Apache-2.0
// Which cores a process may use, and keeping threads on them.
#pragma once

#include <string>
#include <vector>

#include "emulator/base/units.hpp"

namespace traindyno {

struct HostResources {
    std::int64_t cores = 0;  ///< physical, of the whole host
    Bytes memory;            ///< installed

    friend bool operator==(const HostResources&, const HostResources&) = default;
};

/// One OS processor number per physical core this process is bound to, ascending in topology order.
[[nodiscard]] std::vector<int> allowed_cores();

/// Physical cores, named by their first processor, of the package or NUMA node that the PCI device
/// "0000:1b:00.0" hangs on; empty where the topology does not know the device. `topology_xml` is a
/// topology as hwloc writes it, or empty for this host's.
[[nodiscard]] std::vector<int> cores_near(const std::string& pci_bus_id,
                                          const std::string& topology_xml = "");

/// The share of `cores` for local rank `local_rank` of `local_size`: contiguous, sizes differ by at
/// most one, the first ranks have more. With fewer cores than ranks each rank gets one, in turn.
[[nodiscard]] std::vector<int> split_cores(const std::vector<int>& cores,
                                           std::int64_t local_rank,
                                           std::int64_t local_size);

/// Keeps the calling thread on `cores`. Throws LibraryError.
void bind_this_thread(const std::vector<int>& cores);

/// "AMD EPYC 7763 64-Core Processor"; "unknown CPU" where the topology does not say.
[[nodiscard]] std::string cpu_name();

[[nodiscard]] HostResources host_resources();

}  // namespace traindyno
