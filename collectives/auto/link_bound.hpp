// SPDX-License-Identifier: Apache-2.0
// What carriers cannot do without on the links between nodes, by the cost formulas.
#pragma once

#include "collectives/auto/tune.hpp"
#include "collectives/communicator.hpp"
#include "collectives/cost/cost.hpp"
#include "collectives/hierarchical/node_map.hpp"

namespace traindyno {

/// The first rank of each node sends to that of the next and receives from that of the one before:
/// alpha is what 8 bytes take, beta what a byte takes beyond that, of several exchanges the
/// fastest. No gamma. Collective over `messages`; two nodes or more.
[[nodiscard]] LinkModel measure_links_of_nodes(Communicator& messages, const NodeMap& map);

/// With one rank on each node a carrier would need no more messages, nor bytes on a link, than with
/// several. Nothing is known of MPI's own algorithms, nor where there are no links.
[[nodiscard]] LeastSeconds least_on_links(const GroupShape& shape, const LinkModel& link);

}  // namespace traindyno
