// SPDX-License-Identifier: Apache-2.0
// Long messages: the members show where their buffers are, and so agree on the way.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "collectives/shm/call.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// Straight between the members' buffers where all that matter lie in the heap, else staged.
class LargeCall final : public PhasedOperation {
  public:
    /// `chunk`: bytes per member that are staged at a time; the largest that any member asks for.
    LargeCall(Call call, std::size_t chunk) : call_(std::move(call)), chunk_(chunk) {}

    void write(Board& board, Board::Phase phase) override;
    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override;

  private:
    void show(const Board& board, Board::Phase phase) const;
    [[nodiscard]] Outcome choose(Board& board, Board::Phase phase);
    void check_parts(const Board& board, Board::Phase phase) const;

    Call call_;
    std::size_t chunk_;
    std::unique_ptr<PhasedOperation> way_;  ///< once chosen
};

}  // namespace traindyno
