// SPDX-License-Identifier: Apache-2.0
// Every carrier of traffic in host memory, over MPI.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/shm/shared_heap.hpp"
#include "collectives/shm/shm_communicator.hpp"

namespace traindyno {

/// All but MPI itself. `node`: this rank's, equal on the ranks of a node. `heap`: one that all
/// ranks of the node made together, from which buffers are the fastest; without it every group of a
/// node makes one for itself, and buffers are elsewhere.
[[nodiscard]] std::vector<Candidate> host_carriers(
    const std::string& node,
    const std::shared_ptr<SharedHeap>& heap = nullptr,
    const ShmOptions& shared_memory = {});

}  // namespace traindyno
