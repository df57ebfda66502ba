// SPDX-License-Identifier: Apache-2.0
// What the dependencies of a program come to when every lane is an in-order stream.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/program/issue_order.hpp"

namespace traindyno {

/// The dependencies of a program that the order within lanes does not already give, fewest first:
/// per operation at most one wait for each other lane, and none that an earlier wait implies. An
/// operation is enqueued after everything it waits for when all are enqueued in issue order.
class StreamSchedule {
  public:
    explicit StreamSchedule(const IssueOrder& order);

    /// Operations of other lanes that must be complete before `index` starts.
    [[nodiscard]] std::span<const OpIndex> waits_of(OpIndex index) const {
        return std::span(waits_).subspan(first_[index], first_[index + 1] - first_[index]);
    }

    /// Whether an operation of another lane waits for `index`.
    [[nodiscard]] bool is_awaited(OpIndex index) const { return awaited_[index] != 0; }

    /// Whether every other operation of the rank is complete before `index` starts, or waits for
    /// it. A property of the program: ranks with equal programs agree on it, however fast they are.
    [[nodiscard]] bool runs_alone(OpIndex index) const { return alone_[index] != 0; }

    /// Lanes with operations; compute is always one of them.
    [[nodiscard]] std::span<const Lane> lanes() const { return lanes_; }

  private:
    std::vector<OpIndex> waits_;
    std::vector<std::uint32_t> first_;  ///< waits of operation i begin here in waits_
    std::vector<std::uint8_t> awaited_;
    std::vector<std::uint8_t> alone_;
    std::vector<Lane> lanes_;
};

}  // namespace traindyno
