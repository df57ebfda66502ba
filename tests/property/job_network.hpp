// SPDX-License-Identifier: Apache-2.0
// Communicators between the ranks of a job that lives in one process and takes turns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/layout/layout.hpp"

namespace traindyno::test {

/// Collectives and messages end some looks after the last of their members has come, how many the
/// seed decides. A send completes only once its receive is there. Members that call differently, in
/// urgency too, get an error.
class JobNetwork {
  public:
    /// `wait` lets other ranks go on.
    JobNetwork(std::uint64_t seed, std::function<void()> wait);

    /// The communicator of `rank`, a member.
    [[nodiscard]] std::unique_ptr<Communicator> join(const Group& group, WorldRank rank);

    /// Calls that were made and that ended.
    [[nodiscard]] std::int64_t events() const { return events_; }

  private:
    class Operation;
    class Member;
    struct Call;
    struct Meeting;
    struct GroupState;

    Pending pending(std::shared_ptr<const Meeting> meeting);

    std::mt19937_64 random_;
    std::function<void()> wait_;
    std::int64_t events_ = 0;
    std::map<std::pair<GroupKind, std::vector<WorldRank>>, std::shared_ptr<GroupState>> groups_;
};

}  // namespace traindyno::test
