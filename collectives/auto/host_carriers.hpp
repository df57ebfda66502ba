// SPDX-License-Identifier: Apache-2.0
// Every carrier of traffic in host memory, over MPI.
#pragma once

#include <string>
#include <vector>

#include "collectives/auto/auto_communicator.hpp"

namespace traindyno {

/// All but MPI itself. `node`: this rank's, equal on the ranks of a node.
[[nodiscard]] std::vector<Candidate> host_carriers(const std::string& node);

}  // namespace traindyno
