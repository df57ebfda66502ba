// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/shared_heap.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include "collectives/control.hpp"
#include "collectives/patient_wait.hpp"
#include "collectives/shm/pages.hpp"
#include "collectives/shm/progress.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t page{page_bytes};
constexpr std::int64_t huge_page{huge_page_bytes};

/// Address space only: pages exist once they are touched.
std::size_t segment_bytes(std::int64_t members) {
    const std::int64_t host = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
    return static_cast<std::size_t>(rounded_up(2 * host / members, huge_page) + 64 * huge_page);
}

/// Calls `action`; what it threw, or "".
template <class Action>
std::string problem_of(Action&& action) {
    try {
        action();
    } catch (const LibraryError& error) {
        return error.what();
    }
    return {};
}

void throw_the_first(Communicator& host, const std::string& problem) {
    for (const std::string& each : all_gather_text(host, problem)) {
        if (!each.empty()) {
            throw LibraryError("shared memory", 1, each, "SharedHeap::create", Where::here());
        }
    }
}

}  // namespace

std::shared_ptr<SharedHeap> SharedHeap::create(Communicator& host) {
    const auto members = static_cast<std::size_t>(host.size());
    std::vector<SharedSegment> segments(members);
    SharedSegment& own = segments[host.rank().index()];
    throw_the_first(host, problem_of([&] { own = SharedSegment{segment_bytes(host.size())}; }));
    const std::vector<SegmentAddress> mine{own.address()};
    std::vector<SegmentAddress> all(members);
    Pending gathered = host.all_gather(std::as_bytes(std::span{mine}),
                                       std::as_writable_bytes(std::span{all}),
                                       Urgency::background);
    wait_patiently(gathered);
    throw_the_first(host, problem_of([&] {
                        for (std::size_t i = 0; i < members; ++i) {
                            if (i != host.rank().index()) {
                                segments[i] = SharedSegment{all[i]};
                            }
                        }
                    }));
    own.close_file();
    return std::shared_ptr<SharedHeap>(new SharedHeap(host.rank().value(), std::move(segments)));
}

SharedHeap::SharedHeap(std::int64_t self, std::vector<SharedSegment> segments)
    : self_(self),
      segments_(std::move(segments)),
      // The first page holds the segment's nonce.
      blocks_(page,
              static_cast<std::int64_t>(segments_[static_cast<std::size_t>(self)].bytes().size())),
      uses_(segments_[static_cast<std::size_t>(self)].bytes().size() / huge_page_bytes),
      progress_(std::make_shared<HeapProgress>(static_cast<std::int64_t>(segments_.size()))) {}

std::shared_ptr<std::byte> SharedHeap::lend(std::size_t bytes) {
    free_retired();
    const auto wanted = std::max<std::int64_t>(static_cast<std::int64_t>(bytes), 1);
    const std::optional<std::int64_t> offset = blocks_.take(rounded_up(wanted, page), huge_page);
    if (!offset) {
        return nullptr;
    }
    return {at(self_, *offset),
            [heap = shared_from_this(), offset](std::byte* /*start*/) { heap->free(*offset); }};
}

std::optional<std::int64_t> SharedHeap::find(std::span<const std::byte> buffer) const {
    const std::span<const std::byte> own = segments_[static_cast<std::size_t>(self_)].bytes();
    const std::less<> before;  // total over unrelated pointers too
    if (before(buffer.data(), own.data()) ||
        before(own.data() + own.size(), buffer.data() + buffer.size())) {
        return std::nullopt;
    }
    return buffer.data() - own.data();
}

void SharedHeap::use(std::int64_t offset, std::size_t bytes) {
    const BlockMap::Block block = blocks_.block_of(offset);
    const std::int64_t end = offset + static_cast<std::int64_t>(bytes);
    const std::int64_t first = std::max(offset, block.begin + huge_page - 1) / huge_page;
    const std::int64_t last =
        std::min(rounded_up(end, huge_page), block.begin + block.size) / huge_page;
    std::int64_t moved = first;  // pages from here on are used again
    for (std::int64_t number = first; number <= last; ++number) {
        const bool again = number < last && uses_[static_cast<std::size_t>(number)] == 1;
        if (!again) {
            if (number > moved) {
                use_huge_pages({at(self_, moved * huge_page),
                                static_cast<std::size_t>((number - moved) * huge_page)});
            }
            moved = number + 1;
        }
        if (number < last && uses_[static_cast<std::size_t>(number)] < 2) {
            ++uses_[static_cast<std::size_t>(number)];
        }
    }
}

std::int64_t SharedHeap::take(std::int64_t bytes) {
    free_retired();
    const std::optional<std::int64_t> offset = blocks_.take(rounded_up(bytes, page), page);
    TD_EXPECT(offset.has_value());
    return *offset;
}

void SharedHeap::retire(std::int64_t offset,
                        const std::atomic<std::uint64_t>& departures,
                        std::uint64_t expected) {
    retired_.push_back({.offset = offset, .departures = &departures, .expected = expected});
}

void SharedHeap::free(std::int64_t offset) {
    const std::int64_t bytes = blocks_.give_back(offset);
    std::fill(uses_.begin() + offset / huge_page,
              uses_.begin() + rounded_up(offset + bytes, huge_page) / huge_page,
              std::uint8_t{0});
    // The pages go back to the system, in every process that maps them; new ones hold zeros.
    std::byte* const start = at(self_, offset);
    if (madvise(start, static_cast<std::size_t>(bytes), MADV_REMOVE) != 0) {
        std::fill_n(start, bytes, std::byte{0});
    }
}

void SharedHeap::free_retired() {
    std::erase_if(retired_, [this](const Retired& each) {
        const bool unused = each.departures->load(std::memory_order_acquire) == each.expected;
        if (unused) {
            free(each.offset);
        }
        return unused;
    });
}

}  // namespace traindyno
