// SPDX-License-Identifier: Apache-2.0
// Each operation goes through whichever carrier is fastest for it on this very group.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "collectives/auto/tune.hpp"
#include "collectives/auto/tuning_table.hpp"
#include "collectives/communicator.hpp"
#include "collectives/make_communicator.hpp"

namespace traindyno {

/// A way to carry a group's operations besides the plain communicator, which is Carrier::mpi.
struct Candidate {
    Carrier carrier = Carrier::mpi;
    MakeCommunicator make;
};

struct AutoOptions {
    std::string node;  ///< this rank's; equal on the ranks of a node
    std::vector<Candidate> candidates;
    TuningLimits limits;
    /// What is known, equal on all members at the start; grows. Never null.
    std::shared_ptr<TuningTable> table;
};

/// Carries everything over `plain`; the communicators that are split from it choose. A split
/// measures (tune.hpp) unless the first rank of the new group knows its placement, and keeps only
/// the carriers that are chosen for something. Sizes that differ between members (all_to_all with
/// sizes of its own) go by the choice for 1 MiB, so that all choose alike.
[[nodiscard]] std::unique_ptr<Communicator> make_auto_communicator(
    std::unique_ptr<Communicator> plain, AutoOptions options);

}  // namespace traindyno
