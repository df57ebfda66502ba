// SPDX-License-Identifier: Apache-2.0
// What a collective on two levels costs: inside nodes, and on the links between them.
#pragma once

#include <cstdint>
#include <variant>

#include "collectives/cost/cost.hpp"
#include "collectives/cost/shared_memory_cost.hpp"

namespace traindyno {

/// Nodes with equal numbers of ranks.
struct Nodes {
    std::int64_t nodes = 1;
    std::int64_t ranks_each = 1;
};

/// Who carries what on each level, and in how many chunks a message passes through them.
struct LevelCarriers {
    std::variant<SharedPath, Algorithm> inside = SharedPath::direct;
    Algorithm across = Algorithm::ring;
    std::int64_t chunks = 1;
};

/// Of one chunk. `inside` in the unit of its carrier; `across` counts the messages and bytes of a
/// whole node, whose ranks share its link.
struct HierarchicalCost {
    Cost inside_first = {};
    Cost across = {};
    Cost inside_last = {};
    std::int64_t chunks = 1;
};

/// all_reduce: reduce-scatter inside, all-reduce of the parts across, all-gather inside;
/// reduce_scatter and all_gather: one of each; broadcast: across between one rank of each node,
/// then inside. There is no all_to_all on two levels.
[[nodiscard]] HierarchicalCost hierarchical_cost(CollectiveOp op,
                                                 std::int64_t bytes,
                                                 Nodes nodes,
                                                 const LevelCarriers& carriers);

/// Chunks follow one another: while one is on the wire, another is reduced or gathered inside.
[[nodiscard]] double seconds(const HierarchicalCost& cost,
                             const LinkModel& inside,
                             const LinkModel& across);

}  // namespace traindyno
