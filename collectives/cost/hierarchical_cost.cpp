// SPDX-License-Identifier: Apache-2.0
#include "collectives/cost/hierarchical_cost.hpp"

#include <algorithm>

#include "collectives/cost/parts.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/overloaded.hpp"

namespace traindyno {

HierarchicalCost hierarchical_cost(CollectiveOp op,
                                   std::int64_t bytes,
                                   Nodes nodes,
                                   const LevelCarriers& carriers) {
    TD_EXPECT(op != CollectiveOp::all_to_all && carriers.chunks > 0);
    const std::int64_t chunk = Parts{bytes, carriers.chunks}.longest();
    const auto inside = [&](CollectiveOp leg) {
        return std::visit(Overloaded{[&](SharedPath path) {
                                         return shared_memory_cost(
                                             path, leg, chunk, nodes.ranks_each);
                                     },
                                     [&](Algorithm algorithm) {
                                         return cost_of(algorithm, leg, chunk, nodes.ranks_each);
                                     }},
                          carriers.inside);
    };
    // `ranks` of a node send at the same time.
    const auto across = [&](CollectiveOp leg, std::int64_t ranks) {
        Cost cost = cost_of(carriers.across, leg, Parts{chunk, ranks}.longest(), nodes.nodes);
        cost.path *= ranks;
        cost.messages *= ranks;
        cost.bytes *= ranks;
        return cost;
    };
    HierarchicalCost cost{.chunks = carriers.chunks};
    switch (op) {
        case CollectiveOp::all_reduce:
            cost.inside_first = inside(CollectiveOp::reduce_scatter);
            cost.across = across(CollectiveOp::all_reduce, nodes.ranks_each);
            cost.inside_last = inside(CollectiveOp::all_gather);
            break;
        case CollectiveOp::reduce_scatter:
            cost.inside_first = inside(CollectiveOp::reduce_scatter);
            cost.across = across(CollectiveOp::reduce_scatter, nodes.ranks_each);
            break;
        case CollectiveOp::all_gather:
            cost.across = across(CollectiveOp::all_gather, nodes.ranks_each);
            cost.inside_last = inside(CollectiveOp::all_gather);
            break;
        case CollectiveOp::broadcast:
            cost.across = across(CollectiveOp::broadcast, 1);
            cost.inside_last = inside(CollectiveOp::broadcast);
            break;
        case CollectiveOp::all_to_all:
            break;
    }
    return cost;
}

double seconds(const HierarchicalCost& cost, const LinkModel& inside, const LinkModel& across) {
    const double on_the_wire = seconds(cost.across, across);
    const double in_the_node =
        seconds(cost.inside_first, inside) + seconds(cost.inside_last, inside);
    const auto others = static_cast<double>(cost.chunks - 1);
    return on_the_wire + in_the_node + others * std::max(on_the_wire, in_the_node);
}

}  // namespace traindyno
