// SPDX-License-Identifier: Apache-2.0
// The operations of one group, carried out in the order of the calls.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "collectives/shm/board.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// What a look at a group came to.
enum class Look : std::uint8_t {
    waiting,     ///< for other members, or there is nothing to do
    progressed,  ///< a piece of work was done
};

/// Operations are the callers' and leave the queue when they are complete.
class GroupQueue {
  public:
    GroupQueue(Communicator& group, std::shared_ptr<SharedHeap> heap, std::size_t chunk_bytes)
        : board_(group, std::move(heap), chunk_bytes) {}

    [[nodiscard]] Board& board() { return board_; }

    void add(PhasedOperation& operation);
    /// An operation whose buffers are going away. The group is of no use after that.
    void abandon(const PhasedOperation& operation);

    [[nodiscard]] bool empty() const { return operations_.empty(); }

    [[nodiscard]] bool holds(const PhasedOperation& operation) const;

    /// One bounded piece of work on the oldest operation.
    [[nodiscard]] Look advance();

    /// Who has not come to where the oldest operation is.
    [[nodiscard]] std::vector<GroupRank> waiting_for() const;

  private:
    enum class Stage : std::uint8_t { writing, waiting, reading };

    Board board_;
    std::deque<PhasedOperation*> operations_;
    Board::Phase phase_ = 0;
    Stage stage_ = Stage::writing;
    bool usable_ = true;
};

}  // namespace traindyno
