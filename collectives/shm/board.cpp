// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/board.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "collectives/cost/shared_memory_cost.hpp"
#include "collectives/patient_wait.hpp"
#include "collectives/shm/pages.hpp"

namespace traindyno {

namespace {

/// Adjacent lines are fetched in pairs: what different ranks write lies further apart.
constexpr std::size_t apart = 2 * cache_line;

using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free);  // locks would be private to a process
static_assert(sizeof(Counter) == 8);

/// Messages up to here are shown whole, at once, to everyone.
constexpr std::size_t smallest_slot = SharedLimits::slot;

// A member's part: [departures][slot 0][slot 1][window 0][window 1], where a slot begins with the
// counter, so that a short message comes with it in one line.
constexpr std::size_t slots_at = apart;

std::size_t slot_stride(std::size_t slot_bytes) {
    return rounded_up(sizeof(Counter) + slot_bytes, apart);
}

std::size_t windows_at(std::size_t slot_bytes) {
    return rounded_up(slots_at + 2 * slot_stride(slot_bytes), page_bytes);
}

}  // namespace

Board::Board(Communicator& group, std::shared_ptr<SharedHeap> heap, std::size_t chunk_bytes)
    : heap_(std::move(heap)), rank_(group.rank().value()), chunk_bytes_(chunk_bytes) {
    const auto members = static_cast<std::size_t>(group.size());
    // Room for what large_call.cpp shows: three numbers, and two more about each member.
    slot_bytes_ = std::max(smallest_slot, 32 * (members + 2));
    window_bytes_ = rounded_up(members * chunk_bytes, page_bytes);
    const std::size_t bytes = windows_at(slot_bytes_) + 2 * window_bytes_;
    const std::int64_t offset = heap_->take(static_cast<std::int64_t>(bytes));
    const std::vector<Member> mine{{.in_heap = heap_->self(), .offset = offset}};
    members_.resize(members);
    members_[static_cast<std::size_t>(rank_)] = mine.front();
    new (part(rank_)) Counter{0};
    for (const Phase phase : {Phase{0}, Phase{1}}) {
        new (slot(rank_, phase) - sizeof(Counter)) Counter{0};
    }
    // The counters are there before anyone learns where.
    Pending gathered = group.all_gather(std::as_bytes(std::span{mine}),
                                        std::as_writable_bytes(std::span{members_}),
                                        Urgency::background);
    wait_patiently(gathered);
}

Board::~Board() {
    for (std::int64_t member = 0; member < size(); ++member) {
        departures(member).fetch_add(1, std::memory_order_release);
    }
    heap_->retire(members_[static_cast<std::size_t>(rank_)].offset,
                  departures(rank_),
                  static_cast<std::uint64_t>(size()));
}

std::int64_t Board::size() const {
    return static_cast<std::int64_t>(members_.size());
}

std::int64_t Board::rank() const {
    return rank_;
}

SharedHeap& Board::heap() const {
    return *heap_;
}

std::size_t Board::slot_bytes() const {
    return slot_bytes_;
}

std::size_t Board::chunk_bytes() const {
    return chunk_bytes_;
}

std::byte* Board::at(std::int64_t member, std::int64_t offset) const {
    return heap_->at(members_[static_cast<std::size_t>(member)].in_heap, offset);
}

std::byte* Board::part(std::int64_t member) const {
    return at(member, members_[static_cast<std::size_t>(member)].offset);
}

std::byte* Board::slot(std::int64_t member, Phase phase) const {
    return part(member) + slots_at + phase % 2 * slot_stride(slot_bytes_) + sizeof(Counter);
}

std::byte* Board::window(std::int64_t member, Phase phase) const {
    return part(member) + windows_at(slot_bytes_) + phase % 2 * window_bytes_;
}

Counter& Board::published(std::int64_t member, Phase phase) const {
    return *std::launder(reinterpret_cast<Counter*>(slot(member, phase) - sizeof(Counter)));
}

Counter& Board::departures(std::int64_t member) const {
    return *std::launder(reinterpret_cast<Counter*>(part(member)));
}

void Board::publish(Phase phase) {
    published(rank_, phase).store(phase + 1, std::memory_order_release);
    seen_ = 0;
}

bool Board::all_published(Phase phase) {
    while (seen_ < size() && published(seen_, phase).load(std::memory_order_acquire) == phase + 1) {
        ++seen_;
    }
    return seen_ == size();
}

std::vector<std::int64_t> Board::missing(Phase phase) const {
    std::vector<std::int64_t> result;
    for (std::int64_t member = 0; member < size(); ++member) {
        if (published(member, phase).load(std::memory_order_acquire) != phase + 1) {
            result.push_back(member);
        }
    }
    return result;
}

}  // namespace traindyno
