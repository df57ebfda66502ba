// SPDX-License-Identifier: Apache-2.0
// Long messages between ordinary buffers: chunk by chunk through the members' windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/shm/call.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// One chunk per phase; windows alternate (board.hpp), so that chunk k + 1 is put into one while
/// others still read chunk k from the other. An all-reduce is a reduce-scatter and an all-gather of
/// each chunk: its member reduces a piece into its own window, from where the others fetch it one
/// phase later.
class Staged final : public PhasedOperation {
  public:
    /// `chunk`: bytes per member and phase, no more than a window has room for. `longest_part`:
    /// bytes of the largest part that any member sends to any, of an all_to_all.
    Staged(const Call& call, const Board& board, std::size_t chunk, std::size_t longest_part);

    void write(Board& board, Board::Phase phase) override;
    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override;

  private:
    /// What of `in` the member gets in the given round.
    [[nodiscard]] std::span<const std::byte> given(std::size_t member, std::size_t round) const;
    /// Where in `out` goes what the member has for this one.
    [[nodiscard]] std::span<std::byte> place(std::size_t member, std::size_t round) const;
    void reduce_own_piece(const Board& board, Board::Phase phase);
    void fetch(const Board& board, Board::Phase phase, std::size_t round) const;
    const Call& call_;
    std::size_t members_;
    std::size_t rank_;
    std::size_t piece_bytes_ = 0;
    std::size_t rounds_ = 0;
    std::size_t round_ = 0;
    std::vector<const std::byte*> inputs_;
};

}  // namespace traindyno
