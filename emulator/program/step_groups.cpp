// SPDX-License-Identifier: Apache-2.0
// The groups that a step program's rank is in.
#include "emulator/program/step_builder.hpp"

namespace traindyno {

std::optional<GroupId> StepBuilder::join(GroupKind kind) {
    Group group = group_of(layout_, kind, program_.rank);
    if (group.size() < 2) {
        return std::nullopt;
    }
    program_.groups.push_back(std::move(group));
    return GroupId{static_cast<std::int64_t>(program_.groups.size()) - 1};
}

std::optional<ContextParallel> StepBuilder::join_context_parallel() {
    const std::optional<GroupId> group = join(GroupKind::cp);
    if (!group) {
        return std::nullopt;
    }
    const Group& members = program_.groups[group->index()];
    return ContextParallel{.group = *group,
                           .ranks = members.size(),
                           .rank = members.rank_of(program_.rank).value(),
                           .exchange = setup_.context_exchange,
                           .balance = setup_.context_balance};
}

/// Hybrid sharding takes the replicas apart into those that share state and those that copy it.
std::optional<ShardGroup> StepBuilder::join_data_parallel(const Sharding& sharding) {
    const bool hybrid = sharding.ranks > 1 && sharding.ranks < layout_.dp * layout_.cp;
    const std::optional<GroupId> group = join(hybrid ? GroupKind::dp_shard : GroupKind::dp);
    if (!group) {
        return std::nullopt;
    }
    const std::int64_t rank = program_.groups[group->index()].rank_of(program_.rank).value();
    return ShardGroup{.group = *group,
                      .ranks = sharding.ranks,
                      .rank = sharding.ranks > 1 ? rank : 0,
                      .replicas = hybrid ? join(GroupKind::dp_replicate) : std::nullopt};
}

std::optional<ShardGroup> StepBuilder::join_experts(const Sharding& sharding) {
    const std::optional<GroupId> group =
        sharding.experts_apart ? join(GroupKind::expert_dp) : std::nullopt;
    if (!group) {
        return std::nullopt;
    }
    const std::int64_t rank = program_.groups[group->index()].rank_of(program_.rank).value();
    return ShardGroup{.group = *group,
                      .ranks = sharding.expert_ranks,
                      .rank = sharding.expert_ranks > 1 ? rank : 0,
                      .replicas = {}};
}

}  // namespace traindyno
