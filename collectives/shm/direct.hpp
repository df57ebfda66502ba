// SPDX-License-Identifier: Apache-2.0
// Long messages between buffers in the heap: every member reads the others' and writes into them.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/shm/call.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// Begins in a phase in which all have shown their buffers, which `Source`s describe; one more says
/// that nobody reads or writes them any longer. An all-reduce is cut by member: each reduces its
/// slice of all inputs, block by block, and writes it into all outputs, so that it also works in
/// place. The others only read what peers have.
class Direct final : public PhasedOperation {
  public:
    struct Source {
        const std::byte* in = nullptr;  ///< what this member needs of the other begins here
        std::byte* out = nullptr;       ///< the other's `out`, of an all-reduce
    };

    Direct(const Call& call, std::vector<Source> sources, std::int64_t rank);

    void write(Board& board, Board::Phase phase) override;
    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override;

  private:
    enum class Stage : std::uint8_t { working, leaving };

    [[nodiscard]] bool reduce_piece();
    [[nodiscard]] bool copy_piece();
    /// Where the member's part of `out` lies.
    [[nodiscard]] PartRange part_of(std::size_t member) const;

    const Call& call_;
    std::vector<Source> sources_;
    std::size_t rank_;
    Stage stage_ = Stage::working;
    std::size_t at_ = 0;  ///< next byte of the slice or of the part
    std::size_t end_ = 0;
    std::size_t parts_done_ = 0;
    std::vector<const std::byte*> inputs_;
    std::vector<std::byte*> outputs_;
};

}  // namespace traindyno
