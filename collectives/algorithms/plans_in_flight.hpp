// SPDX-License-Identifier: Apache-2.0
// Many plans under way at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/algorithms/plan_run.hpp"

namespace traindyno {

/// The plans of a communicator and of all that were split from it. Whichever Pending is asked
/// advances them all: a rank that waits for one must not withhold another from its peers.
class PlansInFlight {
  public:
    [[nodiscard]] static Pending begin(const std::shared_ptr<PlansInFlight>& all, PlanTask task);

    void advance();

    /// For one that is asked in turn with others, and saw `seen` rounds before: advances all unless
    /// another one has since.
    void advance_in_turn(std::uint64_t& seen);

    /// Runs no further: its peers may never come. Messages may still arrive in its scratch memory.
    void abandon(const std::shared_ptr<PlanRun>& run);

  private:
    ScratchPool pool_;
    std::vector<ScratchPool::Block> abandoned_;  ///< of failed plans too
    std::vector<std::shared_ptr<PlanRun>> running_;
    std::uint64_t rounds_ = 0;  ///< in which all were advanced
};

}  // namespace traindyno
