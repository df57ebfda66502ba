// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/node_map.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

NodeMap::NodeMap(std::vector<std::int32_t> node_of_rank) : nodes_(std::move(node_of_rank)) {
    for (std::size_t rank = 0; rank < nodes_.size(); ++rank) {
        const auto node = static_cast<std::size_t>(nodes_[rank]);
        TD_EXPECT(node <= members_.size());
        if (node == members_.size()) {
            members_.emplace_back();
        }
        members_[node].emplace_back(static_cast<std::int64_t>(rank));
    }
}

NodeMap NodeMap::gather(Communicator& group, const std::string& node) {
    std::map<std::string, std::int32_t> numbers;
    std::vector<std::int32_t> nodes;
    for (const std::string& name : all_gather_text(group, node)) {
        nodes.push_back(
            numbers.emplace(name, static_cast<std::int32_t>(numbers.size())).first->second);
    }
    return NodeMap(std::move(nodes));
}

std::int32_t NodeMap::local_rank(GroupRank rank) const {
    const std::vector<GroupRank>& members = members_[static_cast<std::size_t>(node(rank))];
    return static_cast<std::int32_t>(std::lower_bound(members.begin(), members.end(), rank) -
                                     members.begin());
}

GroupRank NodeMap::rank_at(std::int32_t node, std::int32_t local_rank) const {
    return members_[static_cast<std::size_t>(node)][static_cast<std::size_t>(local_rank)];
}

GroupShape NodeMap::shape() const {
    const auto [fewest, most] =
        std::minmax_element(members_.begin(), members_.end(), [](const auto& a, const auto& b) {
            return a.size() < b.size();
        });
    return {.ranks = static_cast<std::int64_t>(nodes_.size()),
            .nodes = static_cast<std::int64_t>(members_.size()),
            .fewest = static_cast<std::int64_t>(fewest->size()),
            .most = static_cast<std::int64_t>(most->size())};
}

}  // namespace traindyno
