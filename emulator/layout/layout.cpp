// SPDX-License-Identifier: Apache-2.0
#include "emulator/layout/layout.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Collects the ranks of a group, `at` being changed by the caller between additions.
class GroupBuilder {
  public:
    GroupBuilder(const Layout& layout, GroupKind kind)
        : layout_(layout), group_{.kind = kind, .members = {}} {}

    void add(const Coordinates& at) { group_.members.push_back(rank_at(layout_, at)); }

    [[nodiscard]] Group sorted() {
        std::sort(group_.members.begin(), group_.members.end());
        return std::move(group_);
    }

  private:
    const Layout& layout_;
    Group group_;
};

Group line(const Layout& layout,
           GroupKind kind,
           Coordinates at,
           std::int64_t Coordinates::*axis,
           std::int64_t first,
           std::int64_t count) {
    GroupBuilder group(layout, kind);
    for (std::int64_t i = 0; i < count; ++i) {
        at.*axis = first + i;
        group.add(at);
    }
    return group.sorted();
}

Group plane(const Layout& layout,
            GroupKind kind,
            Coordinates at,
            std::int64_t Coordinates::*inner,
            std::int64_t inner_size,
            std::int64_t Coordinates::*outer,
            std::int64_t outer_size) {
    GroupBuilder group(layout, kind);
    for (std::int64_t i = 0; i < outer_size; ++i) {
        for (std::int64_t j = 0; j < inner_size; ++j) {
            at.*outer = i;
            at.*inner = j;
            group.add(at);
        }
    }
    return group.sorted();
}

/// Members of `rank`'s dp group at positions first, first + stride, ... : `count` of them.
Group part_of_dp(const Layout& layout,
                 GroupKind kind,
                 WorldRank rank,
                 std::int64_t first,
                 std::int64_t stride,
                 std::int64_t count) {
    const Group whole = group_of(layout, GroupKind::dp, rank);
    Group part{.kind = kind, .members = {}};
    for (std::int64_t i = 0; i < count; ++i) {
        part.members.push_back(whole.members[static_cast<std::size_t>(first + i * stride)]);
    }
    return part;
}

/// The dp group, or a shard group of it: the consecutive ranks among which state is sharded.
Group shard_group(const Layout& layout, WorldRank rank) {
    const std::int64_t position = group_of(layout, GroupKind::dp, rank).rank_of(rank).value();
    const std::int64_t size = layout.shard == 0 ? layout.dp * layout.cp : layout.shard;
    return part_of_dp(layout, GroupKind::dp_shard, rank, position / size * size, 1, size);
}

Group replicate_group(const Layout& layout, WorldRank rank) {
    const std::int64_t position = group_of(layout, GroupKind::dp, rank).rank_of(rank).value();
    const std::int64_t all = layout.dp * layout.cp;
    const std::int64_t size = layout.shard == 0 ? all : layout.shard;
    return part_of_dp(layout, GroupKind::dp_replicate, rank, position % size, size, all / size);
}

/// Same position in their ep groups, so the same experts.
Group expert_dp_group(const Layout& layout, WorldRank rank) {
    const Coordinates own = coordinates_of(layout, rank);
    GroupBuilder group(layout, GroupKind::expert_dp);
    Coordinates at = own;
    for (at.dp = own.dp % layout.ep; at.dp < layout.dp; at.dp += layout.ep) {
        for (at.cp = 0; at.cp < layout.cp; ++at.cp) {
            group.add(at);
        }
    }
    return group.sorted();
}

Group embedding_group(const Layout& layout, Coordinates at) {
    GroupBuilder group(layout, GroupKind::embedding);
    const std::int64_t last = layout.pp - 1;
    if (at.pp == 0 || at.pp == last) {
        at.pp = 0;
        group.add(at);
        if (last > 0) {
            at.pp = last;
            group.add(at);
        }
    }
    return group.sorted();
}

}  // namespace

GroupRank Group::rank_of(WorldRank rank) const {
    const auto found = std::find(members.begin(), members.end(), rank);
    TD_EXPECT(found != members.end());
    return GroupRank{found - members.begin()};
}

Coordinates coordinates_of(const Layout& layout, WorldRank rank) {
    TD_EXPECT(rank.value() >= 0 && rank.value() < layout.ranks());
    std::int64_t rest = rank.value();
    const auto next = [&rest](std::int64_t size) {
        const std::int64_t digit = rest % size;
        rest /= size;
        return digit;
    };
    Coordinates at;
    at.tp = next(layout.tp);
    at.cp = next(layout.cp);
    at.dp = next(layout.dp);
    at.pp = next(layout.pp);
    return at;
}

WorldRank rank_at(const Layout& layout, const Coordinates& at) {
    TD_EXPECT(at.tp >= 0 && at.tp < layout.tp && at.cp >= 0 && at.cp < layout.cp);
    TD_EXPECT(at.dp >= 0 && at.dp < layout.dp && at.pp >= 0 && at.pp < layout.pp);
    return WorldRank{at.tp + layout.tp * (at.cp + layout.cp * (at.dp + layout.dp * at.pp))};
}

Group group_of(const Layout& layout, GroupKind kind, WorldRank rank) {
    const Coordinates at = coordinates_of(layout, rank);
    switch (kind) {
        case GroupKind::tp:
            return line(layout, kind, at, &Coordinates::tp, 0, layout.tp);
        case GroupKind::cp:
            return line(layout, kind, at, &Coordinates::cp, 0, layout.cp);
        case GroupKind::ep:
            return line(
                layout, kind, at, &Coordinates::dp, at.dp / layout.ep * layout.ep, layout.ep);
        case GroupKind::dp:
            return plane(
                layout, kind, at, &Coordinates::cp, layout.cp, &Coordinates::dp, layout.dp);
        case GroupKind::dp_shard:
            return shard_group(layout, rank);
        case GroupKind::dp_replicate:
            return replicate_group(layout, rank);
        case GroupKind::expert_dp:
            return expert_dp_group(layout, rank);
        case GroupKind::pp:
            return line(layout, kind, at, &Coordinates::pp, 0, layout.pp);
        case GroupKind::embedding:
            return embedding_group(layout, at);
        case GroupKind::model:
            return plane(
                layout, kind, at, &Coordinates::tp, layout.tp, &Coordinates::pp, layout.pp);
    }
    return {};
}

std::string to_string(const Layout& layout) {
    std::string text = fmt::format("tp{} pp{} dp{}", layout.tp, layout.pp, layout.dp);
    if (layout.cp > 1) {
        text += fmt::format(" cp{}", layout.cp);
    }
    if (layout.ep > 1) {
        text += fmt::format(" ep{}", layout.ep);
    }
    if (layout.shard > 0) {
        text += fmt::format(" shard{}", layout.shard);
    }
    return text;
}

}  // namespace traindyno
