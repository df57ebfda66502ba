// SPDX-License-Identifier: Apache-2.0
// Whose strand it is, and where the others are.
#pragma once

#include <cstdint>

#include "collectives/arguments.hpp"

namespace traindyno {

struct Member {
    std::int64_t rank = 0;
    std::int64_t ranks = 1;
    Placement placement = Placement::apart;
};

/// Rank after (before) this one on the ring, `distance` hops away.
[[nodiscard]] constexpr std::int64_t after(const Member& member, std::int64_t distance) {
    return (member.rank + distance) % member.ranks;
}

[[nodiscard]] constexpr std::int64_t before(const Member& member, std::int64_t distance) {
    return (member.rank + member.ranks - distance) % member.ranks;
}

}  // namespace traindyno
