// SPDX-License-Identifier: Apache-2.0
// What the members of one group show each other.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/communicator.hpp"
#include "collectives/shm/shared_heap.hpp"

namespace traindyno {

inline constexpr std::size_t cache_line = 64;

/// Every operation is a sequence of phases, counted over the life of the group: a member fills its
/// slot and its window, publishes the phase, waits until all have, and reads what they show.
///
/// Slots and windows alternate between two. A member that fills those of phase f has seen all
/// publish f - 1, which each did after it had read those of f - 2: the same memory. One wait per
/// phase is therefore enough, and nothing is acknowledged.
///
/// Memory order: `published` of a slot is the only thing members wait for. Its release store comes
/// after the member's writes of the phase (its slot, its window and, at the end of an operation on
/// buffers in the heap, the others' buffers); the acquire load that finds it comes before reading.
class Board {
  public:
    using Phase = std::uint64_t;

    /// Windows have room for `chunk_bytes` per member. Collective over the group; blocks.
    Board(Communicator& group, std::shared_ptr<SharedHeap> heap, std::size_t chunk_bytes);
    ~Board();

    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;
    Board(Board&&) = delete;
    Board& operator=(Board&&) = delete;

    [[nodiscard]] std::int64_t size() const;
    [[nodiscard]] std::int64_t rank() const;
    [[nodiscard]] SharedHeap& heap() const;
    [[nodiscard]] std::size_t slot_bytes() const;   ///< that a slot holds
    [[nodiscard]] std::size_t chunk_bytes() const;  ///< of a window, per member
    [[nodiscard]] std::byte* slot(std::int64_t member, Phase phase) const;
    [[nodiscard]] std::byte* window(std::int64_t member, Phase phase) const;
    /// Address of `offset` in the member's segment of the heap.
    [[nodiscard]] std::byte* at(std::int64_t member, std::int64_t offset) const;

    void publish(Phase phase);
    [[nodiscard]] bool all_published(Phase phase);
    /// Members that have not published the phase, ascending.
    [[nodiscard]] std::vector<std::int64_t> missing(Phase phase) const;

  private:
    struct Member {
        std::int64_t in_heap = 0;  ///< its number in the heap
        std::int64_t offset = 0;   ///< of its part of the board
    };

    [[nodiscard]] std::byte* part(std::int64_t member) const;
    [[nodiscard]] std::atomic<std::uint64_t>& published(std::int64_t member, Phase phase) const;
    [[nodiscard]] std::atomic<std::uint64_t>& departures(std::int64_t member) const;

    std::shared_ptr<SharedHeap> heap_;
    std::int64_t rank_;
    std::size_t slot_bytes_;
    std::size_t chunk_bytes_;
    std::size_t window_bytes_;
    std::vector<Member> members_;
    std::int64_t seen_ = 0;  ///< members that are known to have published the current phase
};

}  // namespace traindyno
