// SPDX-License-Identifier: Apache-2.0
// A collective as a sequence of phases of its group (board.hpp).
#pragma once

#include <cstdint>

#include "collectives/shm/board.hpp"

namespace traindyno {

class PhasedOperation {
  public:
    enum class Outcome : std::uint8_t {
        more,        ///< call `read` again
        next_phase,  ///< publish another one
        complete,
    };

    virtual ~PhasedOperation() = default;

    /// Fills this member's slot or window. A bounded piece of work, as `read` is: the rank computes
    /// between.
    virtual void write(Board& board, Board::Phase phase) = 0;
    /// Uses what all members show in the phase.
    [[nodiscard]] virtual Outcome read(Board& board, Board::Phase phase) = 0;
};

}  // namespace traindyno
