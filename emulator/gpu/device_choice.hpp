// SPDX-License-Identifier: Apache-2.0
// Which GPU a rank computes on, and which cores it uses for that.
#pragma once

#include <cstdint>
#include <vector>

namespace traindyno {

/// The ordinal of the GPU for `local_rank`, when `visible` GPUs are: the only one where the
/// launcher gave each rank its own, else in turn.
[[nodiscard]] int device_for(std::int64_t local_rank, int visible);

/// The share of `allowed`, the cores that the ranks of a host may use together, of `local_rank`.
/// `near[r]` are the cores next to the GPU of local rank r (cores_near()). Ranks whose GPUs hang on
/// the same cores divide those of them that are allowed. Where that does not work out for every
/// rank (nothing near is allowed, or neighbourhoods overlap) all divide all of `allowed`.
[[nodiscard]] std::vector<int> near_share(const std::vector<std::vector<int>>& near,
                                          const std::vector<int>& allowed,
                                          std::int64_t local_rank);

}  // namespace traindyno
