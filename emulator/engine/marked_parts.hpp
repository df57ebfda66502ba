// SPDX-License-Identifier: Apache-2.0
// Which parts of a collective's buffers in-step verification marks before and checks after.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// Gets this member's pattern under `key` (stamp).
struct StampedPart {
    Slice slice;
    std::uint32_t key = 0;
};

/// Must hold the reduction of `members` members' patterns under `key` (check). What was moved, not
/// reduced, comes from one: rank r's pattern under a key is rank 0's under the key plus r.
struct CheckedPart {
    Slice slice;
    Reduction reduction = Reduction::sum;
    std::int64_t members = 1;
    std::uint32_t key = 0;
};

/// `key` tells collectives apart and is equal on all members.
[[nodiscard]] std::vector<StampedPart> stamped_parts(const Collective& op,
                                                     std::int64_t size,
                                                     std::uint32_t key);
[[nodiscard]] std::vector<CheckedPart> checked_parts(const Collective& op,
                                                     GroupRank rank,
                                                     std::int64_t size,
                                                     std::uint32_t key);

}  // namespace traindyno
