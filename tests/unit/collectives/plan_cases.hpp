// SPDX-License-Identifier: Apache-2.0
// The plans under test, and the memory their ranks begin and should end with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/algorithms/build_plan.hpp"
#include "tests/unit/collectives/plan_simulation.hpp"

namespace traindyno::test {

/// An operation with an algorithm that has it.
struct PlanCase {
    Algorithm algorithm = Algorithm::ring;
    CollectiveOp op = CollectiveOp::all_reduce;
    bool cuts = false;  ///< takes more than one strand
};

/// Every algorithm with every operation it has.
[[nodiscard]] std::vector<PlanCase> plan_cases();

/// The request of rank 0; `count` counts a part where the operation has parts.
[[nodiscard]] PlanRequest request_for(const PlanCase& each,
                                      std::int64_t ranks,
                                      std::int64_t count,
                                      Placement placement,
                                      std::int64_t strands);

/// The request's plans on all ranks.
[[nodiscard]] PlanSimulation simulation_of(PlanRequest request);

/// "" if every rank holds what the operation promises, and its input is as it was.
[[nodiscard]] std::string verdict(const PlanSimulation& simulation, const PlanRequest& request);

/// Group sizes and, for one of them, element counts worth trying.
[[nodiscard]] std::vector<std::int64_t> group_sizes();
[[nodiscard]] std::vector<std::int64_t> counts_for(CollectiveOp op, std::int64_t ranks);

[[nodiscard]] std::string describe(const PlanRequest& request);

}  // namespace traindyno::test
