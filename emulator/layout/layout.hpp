// SPDX-License-Identifier: Apache-2.0
// How ranks are cut into tensor, pipeline and data parallel groups.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

/// Sizes of the parallel dimensions. Ranks are numbered tp fastest, then cp, dp, pp (Megatron's
/// default order "tp-cp-ep-dp-pp"); ep divides dp.
struct Layout {
    std::int64_t tp = 1;
    std::int64_t cp = 1;
    std::int64_t ep = 1;
    std::int64_t dp = 1;
    std::int64_t pp = 1;
    std::int64_t shard = 0;  ///< hybrid sharding: consecutive ranks of the dp group among which
                             ///< state is sharded, a divisor of dp x cp; 0: all of them

    friend bool operator==(const Layout&, const Layout&) = default;

    [[nodiscard]] std::int64_t ranks() const { return tp * cp * dp * pp; }
};

/// What a communication group is for; budget categories follow it.
enum class GroupKind : std::uint8_t {
    tp,            ///< tensor parallel
    cp,            ///< context parallel
    ep,            ///< expert parallel: consecutive ranks of dp
    dp,            ///< data parallel: same shard of the model, so dp x cp ranks
    dp_shard,      ///< hybrid sharding: consecutive ranks of dp among which state is sharded
    dp_replicate,  ///< hybrid sharding: ranks of dp that hold the same shard
    expert_dp,     ///< ranks of dp that hold the same experts
    pp,            ///< pipeline parallel: one rank per stage
    embedding,     ///< first and last stage, when embeddings are tied (gradient all-reduce)
    model,         ///< tp x pp, Megatron's model-parallel group (gradient norm)
};

template <>
struct EnumNames<GroupKind> {
    static constexpr auto names = enum_table<GroupKind>("tp",
                                                        "cp",
                                                        "ep",
                                                        "dp",
                                                        "dp_shard",
                                                        "dp_replicate",
                                                        "expert_dp",
                                                        "pp",
                                                        "embedding",
                                                        "model");
};

/// A set of ranks that communicate. Members in group-rank order.
struct Group {
    GroupKind kind = GroupKind::dp;
    std::vector<WorldRank> members;

    friend bool operator==(const Group&, const Group&) = default;

    [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(members.size()); }

    /// Position of `rank` in the group; ContractError when it is not a member.
    [[nodiscard]] GroupRank rank_of(WorldRank rank) const;
};

/// Coordinates of one rank in the grid.
struct Coordinates {
    std::int64_t tp = 0;
    std::int64_t cp = 0;
    std::int64_t dp = 0;
    std::int64_t pp = 0;

    friend bool operator==(const Coordinates&, const Coordinates&) = default;
};

[[nodiscard]] Coordinates coordinates_of(const Layout& layout, WorldRank rank);
[[nodiscard]] WorldRank rank_at(const Layout& layout, const Coordinates& at);

/// The group of `kind` that `rank` belongs to. `embedding` is empty for ranks of middle stages.
[[nodiscard]] Group group_of(const Layout& layout, GroupKind kind, WorldRank rank);

/// Short text such as "tp2 pp2 dp1".
[[nodiscard]] std::string to_string(const Layout& layout);

}  // namespace traindyno
