// SPDX-License-Identifier: Apache-2.0
// Runs one plan over any communicator's messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "collectives/algorithms/plan.hpp"
#include "collectives/algorithms/scratch_pool.hpp"
#include "collectives/communicator.hpp"

namespace traindyno {

/// A plan and what it works on.
struct PlanTask {
    std::shared_ptr<const CollectivePlan> plan;
    std::shared_ptr<Communicator> channel;  ///< carries nothing but plans
    std::int32_t first_tag = 0;             ///< one tag per lane
    std::span<const std::byte> input;
    std::span<std::byte> work;
    std::int64_t element_size = 1;
    // Where the plan reduces:
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;
};

/// A plan under way.
class PlanRun {
  public:
    PlanRun(PlanTask task, ScratchPool& pool);

    /// Does what can be done now. Errors are kept for complete().
    void advance();

    /// Whether it is over, one way or the other.
    [[nodiscard]] bool over() const { return open_lanes_ == 0 || failed(); }

    [[nodiscard]] bool failed() const { return error_ != nullptr; }

    /// Throws what went wrong.
    [[nodiscard]] bool complete() const;
    /// The peers of messages that have not completed, in rank order.
    [[nodiscard]] std::vector<GroupRank> waiting_for() const;
    [[nodiscard]] ScratchPool::Block take_scratch();

  private:
    struct Outstanding {
        Pending pending;
        GroupRank peer;
    };

    struct Lane {
        std::int64_t strand = 0;
        std::size_t round = 0;
        bool posted = false;  ///< the round's messages are under way
        std::vector<Outstanding> outstanding;
    };

    /// True once the lane has nothing more to do.
    bool advance_lane(std::int64_t index);
    void post(const Round& round, std::int64_t lane);
    void apply(const LocalStep& step, std::int64_t lane);
    [[nodiscard]] std::span<const std::byte> readable(const Slice& slice, std::int64_t lane) const;
    [[nodiscard]] std::span<std::byte> writable(const Slice& slice, std::int64_t lane) const;

    PlanTask task_;
    ScratchPool::Block scratch_;
    std::span<std::byte> scratch_bytes_;
    std::size_t lane_bytes_ = 0;
    // Destroyed before the memory they use.
    std::vector<Lane> lanes_;
    std::int64_t open_lanes_ = 0;
    std::exception_ptr error_;
};

}  // namespace traindyno
