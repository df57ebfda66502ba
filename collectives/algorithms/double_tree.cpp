// SPDX-License-Identifier: Apache-2.0
// Two binary trees: a rank with children in one is a leaf of the other (Sanders, Speck and Träff,
// Parallel Computing 35(12), 2009).
#include <bit>
#include <vector>

#include "collectives/algorithms/strands.hpp"

namespace traindyno {

namespace {

/// Nodes 1 .. nodes in order from left to right, below node 0. A node of 2^k times an odd number
/// lies on level k; its parent is the nearest node of the next level that exists.
std::int64_t parent_in_order(std::int64_t node, std::int64_t nodes) {
    const std::int64_t bit = node & -node;
    const std::int64_t parent = (node & ~bit) | (bit << 1);
    return parent <= nodes ? parent : node & ~bit;
}

/// The children of `node`, left before right.
std::vector<std::int64_t> children_in_order(std::int64_t node, std::int64_t nodes) {
    if (node == 0) {
        return {static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(nodes)))};
    }
    std::vector<std::int64_t> children;
    const std::int64_t bit = node & -node;
    if (bit > 1) {
        children.push_back(node - bit / 2);
    }
    for (std::int64_t step = bit / 2; step > 0; step /= 2) {
        if (node + step <= nodes) {
            children.push_back(node + step);
            break;
        }
    }
    return children;
}

/// One rank's place in one of the two trees. Ranks count from the root.
struct Place {
    std::int64_t parent = 0;
    std::vector<std::int64_t> children;
    bool is_root = false;
};

/// The second tree is the first one mirrored, or moved by one where the middle would be its own
/// mirror image: either way odd nodes, the leaves, become even ones.
class SecondTree {
  public:
    explicit SecondTree(std::int64_t nodes) : nodes_(nodes) {}

    /// The node of the first tree that rank `node` stands on.
    [[nodiscard]] std::int64_t place_of(std::int64_t node) const {
        if (node == 0) {
            return 0;
        }
        return nodes_ % 2 == 0 ? nodes_ + 1 - node : node % nodes_ + 1;
    }

    [[nodiscard]] std::int64_t rank_on(std::int64_t place) const {
        if (place == 0) {
            return 0;
        }
        return nodes_ % 2 == 0 ? nodes_ + 1 - place : (place + nodes_ - 2) % nodes_ + 1;
    }

  private:
    std::int64_t nodes_;
};

Place place_in_tree(const Member& member, std::int64_t strand, std::int64_t root) {
    const std::int64_t nodes = member.ranks - 1;
    const std::int64_t me = before(member, root);
    const SecondTree second{nodes};
    const bool mirrored = strand % 2 == 1;
    const std::int64_t node = mirrored ? second.place_of(me) : me;
    const auto rank_of = [&](std::int64_t place) {
        return ((mirrored ? second.rank_on(place) : place) + root) % member.ranks;
    };
    Place place;
    place.is_root = me == 0;
    if (!place.is_root) {
        place.parent = rank_of(parent_in_order(node, nodes));
    }
    for (const std::int64_t child : children_in_order(node, nodes)) {
        place.children.push_back(rank_of(child));
    }
    return place;
}

void send_down(StrandWriter& writer, const Place& place, const Slice& whole) {
    if (!place.is_root) {
        writer.receive(place.parent, whole);
        writer.end_round();
    }
    for (const std::int64_t child : place.children) {
        writer.send(child, whole);
    }
    writer.end_round();
}

}  // namespace

void tree_all_reduce(StrandWriter& writer,
                     const Member& member,
                     const Chunk& chunk,
                     std::int64_t strand) {
    const Place place = place_in_tree(member, strand, 0);
    Summands values = summands_of(member, chunk);
    for (const std::int64_t child : place.children) {
        writer.accumulate(child, values, 0, chunk.count);
        if (values.begun || values.own == values.sum) {
            values.landing += chunk.count;
        }
        values.begun = true;
    }
    writer.end_round();
    if (place.is_root) {
        writer.finish(values.sum);
    } else {
        writer.send(place.parent, values.current());
    }
    writer.end_round();
    send_down(writer, place, values.sum);
}

void tree_broadcast(StrandWriter& writer,
                    const Member& member,
                    const Chunk& chunk,
                    std::int64_t strand,
                    std::int64_t root) {
    send_down(writer, place_in_tree(member, strand, root), chunk.of(PlanBuffer::work));
}

}  // namespace traindyno
