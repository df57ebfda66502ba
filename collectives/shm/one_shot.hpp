// SPDX-License-Identifier: Apache-2.0
// Short messages: everyone shows its input, and takes what it needs from everyone's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "collectives/cost/shared_memory_cost.hpp"
#include "collectives/shm/call.hpp"
#include "collectives/shm/phased_operation.hpp"

namespace traindyno {

/// The input must fit into a slot, behind a header of `header_bytes`. A member copies its input
/// there or, where that is in the heap and copying would take longer than one more phase, says
/// where it lies; then that phase follows, in which nobody reads inputs any longer. Everyone
/// reduces all inputs itself, in the order of the members, so all get the same bits.
class OneShot final : public PhasedOperation {
  public:
    static constexpr std::size_t header_bytes = SharedLimits::header;

    enum class Showing : std::uint8_t { copies, places };

    OneShot(const Call& call, Showing showing) : call_(call), showing_(showing) {}

    void write(Board& board, Board::Phase phase) override;
    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override;

  private:
    void show(const Board& board, Board::Phase phase);
    void use(const Board& board);
    void find_inputs(const Board& board, Board::Phase phase);
    void reduce_all(std::size_t offset);
    void copy(const std::byte* from, std::size_t to, std::size_t bytes) const;

    const Call& call_;
    Showing showing_;
    bool shown_ = false;
    bool places_shown_ = false;  ///< by any member
    bool in_place_ = false;      ///< an all-reduce whose input others still read
    std::vector<const std::byte*> inputs_;
    std::vector<std::byte> result_;  ///< of an all-reduce in place, until nobody reads the input
};

}  // namespace traindyno
