// SPDX-License-Identifier: Apache-2.0
// What carriers cannot do without on the links between nodes, by the cost formulas.
#pragma once

#include "collectives/auto/tune.hpp"
#include "collectives/communicator.hpp"
#include "collectives/cost/cost.hpp"
#include "collectives/hierarchical/node_map.hpp"

namespace traindyno {

/// The first rank of each node sends to that of the next and receives from that of the one before:
/// alpha is what 8 bytes take at best, beta what a byte of 512 KiB takes beyond that. No gamma.
/// Collective over `messages`; two nodes or more.
[[nodiscard]] LinkModel measure_links_of_nodes(Communicator& messages, const NodeMap& map);

/// Messages one after the other on links, and bytes on one: of a ring those of all ranks, for every
/// round crosses some link; of two levels those of a ring of nodes; of others those between nodes
/// of one rank, times the ranks of a node where all of them exchange as much. MPI is taken to grow
/// as usual_algorithm() does, but what it needs at least is unknown. Two nodes or more.
[[nodiscard]] KnownCosts costs_on_links(const GroupShape& shape, const LinkModel& link);

}  // namespace traindyno
