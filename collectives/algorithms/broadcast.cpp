// SPDX-License-Identifier: Apache-2.0
// Broadcasts: a binomial tree, and scatter followed by a ring all-gather (van de Geijn; Thakur,
// Rabenseifner and Gropp, IJHPCA 19(1), 2005, section 4.2).
#include <algorithm>
#include <bit>

#include "collectives/algorithms/strands.hpp"
#include "collectives/cost/parts.hpp"

namespace traindyno {

namespace {

/// Down a binomial tree: node v takes care of nodes v .. v + reach - 1, where reach is the lowest
/// bit of v; `slice(first, nodes)` is what they get. Nodes count from the root.
template <class SliceOf>
void down_the_tree(StrandWriter& writer, const Member& member, std::int64_t root, SliceOf&& slice) {
    const std::int64_t me = before(member, root);
    const auto rank_of = [&](std::int64_t node) { return (node + root) % member.ranks; };
    std::int64_t reach = me & -me;
    if (me == 0) {
        reach = std::int64_t{1} << rounds_to_reach(member.ranks);
    } else {
        writer.receive(rank_of(me - reach), slice(me, std::min(reach, member.ranks - me)));
        writer.end_round();
    }
    for (std::int64_t half = reach / 2; half > 0; half /= 2) {
        const std::int64_t child = me + half;
        if (child < member.ranks) {
            writer.send(rank_of(child), slice(child, std::min(half, member.ranks - child)));
            writer.end_round();
        }
    }
}

}  // namespace

void binomial_broadcast(StrandWriter& writer,
                        const Member& member,
                        const Chunk& chunk,
                        std::int64_t root) {
    down_the_tree(writer, member, root, [&](std::int64_t /*first*/, std::int64_t /*nodes*/) {
        return chunk.of(PlanBuffer::work);
    });
}

void scatter_all_gather_broadcast(StrandWriter& writer,
                                  const Member& member,
                                  const Chunk& chunk,
                                  std::int64_t root) {
    const Parts parts{chunk.count, member.ranks};
    const Slice whole = chunk.of(PlanBuffer::work);
    const auto slice = [&](std::int64_t first, std::int64_t nodes) {
        return within(whole, parts.begin(first), parts.begin(first + nodes) - parts.begin(first));
    };
    down_the_tree(writer, member, root, slice);
    const std::int64_t me = before(member, root);
    const auto node_before = [&](std::int64_t distance) {
        return (me + member.ranks - distance) % member.ranks;
    };
    for (std::int64_t step = 0; step + 1 < member.ranks; ++step) {
        if (me + 1 < member.ranks) {  // the root, next to the last node, has all parts
            writer.send(after(member, 1), slice(node_before(step), 1));
        }
        if (me > 0) {
            writer.receive(before(member, 1), slice(node_before(step + 1), 1));
        }
        writer.end_round();
    }
}

}  // namespace traindyno
