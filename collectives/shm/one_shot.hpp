// SPDX-License-Identifier: Apache-2.0
// Short messages: everyone shows its input, and takes what it needs from everyone's.
#pragma once

#include "collectives/shm/call.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// One phase; the input must fit into a slot. Everyone reduces all inputs itself, in the order of
/// the members, so all get the same bits.
class OneShot final : public PhasedOperation {
  public:
    explicit OneShot(const Call& call) : call_(call) {}

    void write(Board& board, Board::Phase phase) override;
    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override;

  private:
    void reduce_all(const Board& board, Board::Phase phase, std::size_t offset) const;
    void copy(const std::byte* from, std::size_t to, std::size_t bytes) const;

    Call call_;
};

}  // namespace traindyno
