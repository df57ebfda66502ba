// SPDX-License-Identifier: Apache-2.0
// On which nodes the members of a group are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Groups of one shape are alike to every algorithm.
struct GroupShape {
    std::int64_t ranks = 1;
    std::int64_t nodes = 1;
    std::int64_t fewest = 1;  ///< ranks on the node with the fewest
    std::int64_t most = 1;

    friend auto operator<=>(const GroupShape&, const GroupShape&) = default;
};

/// Node of each member, in rank order. Nodes are numbered as they first appear.
class NodeMap {
  public:
    explicit NodeMap(std::vector<std::int32_t> node_of_rank);

    /// Collective over `group`: members with equal `node` share a node.
    [[nodiscard]] static NodeMap gather(Communicator& group, const std::string& node);

    [[nodiscard]] std::int32_t node(GroupRank rank) const { return nodes_[rank.index()]; }

    /// Position among the ranks of its node, which are in rank order.
    [[nodiscard]] std::int32_t local_rank(GroupRank rank) const;
    [[nodiscard]] GroupRank rank_at(std::int32_t node, std::int32_t local_rank) const;
    [[nodiscard]] GroupShape shape() const;

    friend bool operator==(const NodeMap&, const NodeMap&) = default;

  private:
    std::vector<std::int32_t> nodes_;
    std::vector<std::vector<GroupRank>> members_;  ///< of each node
};

}  // namespace traindyno
