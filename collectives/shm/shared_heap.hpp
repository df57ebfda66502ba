// SPDX-License-Identifier: Apache-2.0
// Memory of one rank that every rank of its host can address.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "collectives/communicator.hpp"
#include "collectives/shm/block_map.hpp"
#include "collectives/shm/segment.hpp"

namespace traindyno {

class HeapProgress;

/// One segment per rank, mapped by all of them; collectives between buffers in it need no copies in
/// between. Used from one thread, but the memory itself may be touched by any. Nothing of it is
/// left behind when ranks are killed (segment.hpp).
class SharedHeap : public std::enable_shared_from_this<SharedHeap> {
  public:
    /// Collective over the ranks of one host; blocks. Throws LibraryError on all of them when they
    /// cannot map each other's memory, as in different containers.
    [[nodiscard]] static std::shared_ptr<SharedHeap> create(Communicator& host);

    /// Zeros that begin a 2 MiB page, on the NUMA node of whoever touches them first. Returned to
    /// the system when the last owner is gone; null when the segment, twice this rank's share of
    /// the host's memory, is full.
    [[nodiscard]] std::shared_ptr<std::byte> lend(std::size_t bytes);

    /// Where `buffer` begins in this rank's segment; nothing when it lies elsewhere.
    [[nodiscard]] std::optional<std::int64_t> find(std::span<const std::byte> buffer) const;

    /// Has a long message's buffer in huge pages, as far as they lie in its block. The first time
    /// takes about as long as touching them did.
    void prepare(std::int64_t offset, std::size_t bytes);

    [[nodiscard]] std::byte* at(std::int64_t member, std::int64_t offset) const {
        return segments_[static_cast<std::size_t>(member)].bytes().data() + offset;
    }

    /// This rank's number among those that made the heap.
    [[nodiscard]] std::int64_t self() const { return self_; }

    /// Of all communicators on this heap: whoever asks for one operation advances all.
    [[nodiscard]] const std::shared_ptr<HeapProgress>& progress() const { return progress_; }

    /// For what peers read at any time: zeros, 4 KiB aligned. ContractError when there is no room.
    [[nodiscard]] std::int64_t take(std::int64_t bytes);
    /// Frees it once `departures` has come to `expected`, at a later call.
    void retire(std::int64_t offset,
                const std::atomic<std::uint64_t>& departures,
                std::uint64_t expected);

  private:
    struct Retired {
        std::int64_t offset = 0;
        const std::atomic<std::uint64_t>* departures = nullptr;
        std::uint64_t expected = 0;
    };

    SharedHeap(std::int64_t self, std::vector<SharedSegment> segments);
    void free(std::int64_t offset);
    void free_retired();

    std::int64_t self_;
    std::vector<SharedSegment> segments_;  ///< by member; this rank's own among them
    BlockMap blocks_;
    std::vector<Retired> retired_;
    std::vector<bool> prepared_;  ///< by huge page of the own segment
    std::shared_ptr<HeapProgress> progress_;
};

}  // namespace traindyno
