// SPDX-License-Identifier: Apache-2.0
// Each operation goes through whichever carrier is fastest for it on this very group.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
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
    MakeCommunicator make;  ///< LibraryError on all members: it does not work here
};

struct AutoOptions {
    std::string node;  ///< this rank's; equal on the ranks of a node
    std::vector<Candidate> candidates;
    TuningLimits limits;  ///< equal on all members
    /// Where the buffers of the traffic come from, and those of trials too; empty, or null when
    /// there is no more: this process's own memory.
    std::function<std::shared_ptr<std::byte>(std::size_t bytes)> lend{};
    /// What is known; grows. Never null.
    std::shared_ptr<TuningTable> table;
    /// Carries everything wherever it can work, else MPI does; nothing is measured.
    std::optional<Carrier> fixed{};
};

/// Gives each member the first one's rows too. Collective.
void share_rows(Communicator& group, TuningTable& table);

/// Carries everything over `plain`; the communicators that are split from it choose. A split
/// measures (tune.hpp) what the first rank of the new group does not know, and keeps only the
/// carriers that are chosen for something. Sizes that differ between members (all_to_all with
/// sizes of its own) go by the choice for 1 MiB, so that all choose alike.
[[nodiscard]] std::unique_ptr<Communicator> make_auto_communicator(
    std::unique_ptr<Communicator> plain, AutoOptions options);

}  // namespace traindyno
