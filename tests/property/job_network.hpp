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
    /// Lets other ranks go on, at least until the condition holds.
    using Wait = std::function<void(std::function<bool()>)>;

    JobNetwork(std::uint64_t seed, Wait wait);

    /// The communicator of `rank`, a member.
    [[nodiscard]] std::unique_ptr<Communicator> join(const Group& group, WorldRank rank);

  private:
    class Operation;
    class Member;
    struct Call;
    struct Meeting;
    struct GroupState;

    /// What one rank has under way.
    struct InFlight {
        std::int64_t operations = 0;
        std::int64_t over = 0;   ///< of them, those that a look will find over
        std::int64_t looks = 0;  ///< since the last of them began or ended
    };

    Pending pending(const std::shared_ptr<Meeting>& meeting, InFlight& rank);
    void look(InFlight& rank);

    std::mt19937_64 random_;
    Wait wait_;
    std::map<WorldRank, InFlight> in_flight_;
    std::map<std::pair<GroupKind, std::vector<WorldRank>>, std::shared_ptr<GroupState>> groups_;
};

}  // namespace traindyno::test
