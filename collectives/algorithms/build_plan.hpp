// SPDX-License-Identifier: Apache-2.0
// The plans of all algorithms: pure functions of the operation, the rank and the sizes.
#pragma once

#include <compare>
#include <cstdint>
#include <span>

#include "collectives/algorithms/plan.hpp"
#include "collectives/arguments.hpp"
#include "collectives/cost/algorithm.hpp"
#include "collectives/cost/chunking.hpp"

namespace traindyno {

struct PlanRequest {
    Algorithm algorithm = Algorithm::ring;
    CollectiveOp op = CollectiveOp::all_reduce;
    std::int64_t rank = 0;
    std::int64_t ranks = 1;
    std::int64_t count = 0;  ///< elements of the whole: the buffer, or all parts together
    std::int64_t root = 0;   ///< broadcast only
    Placement placement = Placement::apart;
    Chunking chunking = {};

    friend auto operator<=>(const PlanRequest&, const PlanRequest&) = default;
};

/// The share of `request.rank`. algorithm_for() replaces an algorithm that lacks the operation.
/// Parts of an all_reduce or broadcast differ by at most one element; all members must ask with
/// the same chunking. A broadcast uses work only.
[[nodiscard]] CollectivePlan build_plan(const PlanRequest& request);

/// Pairwise exchange of unequal parts: sent[i] elements go to rank i and received[i] come from it,
/// in rank order. Pairs that exchange nothing send no message.
[[nodiscard]] CollectivePlan build_exchange(std::int64_t rank,
                                            std::span<const std::int64_t> sent,
                                            std::span<const std::int64_t> received);

}  // namespace traindyno
