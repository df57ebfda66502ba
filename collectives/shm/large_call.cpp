// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/large_call.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "collectives/shm/direct.hpp"
#include "collectives/shm/staged.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t nowhere = -1;

/// What a member shows; the parts it sends follow, of an all_to_all.
struct Shown {
    std::int64_t in = nowhere;  ///< offsets in its segment of the heap
    std::int64_t out = nowhere;
    std::size_t chunk = 0;
};

/// Offset in the heap.
std::int64_t place_in(SharedHeap& heap, std::span<const std::byte> buffer) {
    if (buffer.empty()) {
        return 0;
    }
    const std::optional<std::int64_t> offset = heap.find(buffer);
    if (offset) {
        heap.prepare(*offset, buffer.size());
    }
    return offset.value_or(nowhere);
}

Shown shown_by(const Board& board, std::int64_t member, Board::Phase phase) {
    Shown shown;
    std::memcpy(&shown, board.slot(member, phase), sizeof shown);
    return shown;
}

/// The part that `member` sends to `receiver`.
PartRange part_shown(const Board& board,
                     std::int64_t member,
                     std::int64_t receiver,
                     Board::Phase phase) {
    PartRange part;
    std::memcpy(&part,
                board.slot(member, phase) + sizeof(Shown) +
                    static_cast<std::size_t>(receiver) * sizeof part,
                sizeof part);
    return part;
}

std::size_t longest_part(const Board& board, Board::Phase phase) {
    std::int64_t longest = 0;
    for (std::int64_t member = 0; member < board.size(); ++member) {
        for (std::int64_t receiver = 0; receiver < board.size(); ++receiver) {
            longest = std::max(longest, part_shown(board, member, receiver, phase).size);
        }
    }
    return static_cast<std::size_t>(longest);
}

}  // namespace

void LargeCall::write(Board& board, Board::Phase phase) {
    if (way_) {
        way_->write(board, phase);
    } else {
        show(board, phase);
    }
}

PhasedOperation::Outcome LargeCall::read(Board& board, Board::Phase phase) {
    return way_ ? way_->read(board, phase) : choose(board, phase);
}

void LargeCall::show(const Board& board, Board::Phase phase) const {
    const Shown shown{.in = place_in(board.heap(), call_.in),
                      .out = place_in(board.heap(), call_.out),
                      .chunk = chunk_};
    std::byte* const slot = board.slot(board.rank(), phase);
    std::memcpy(slot, &shown, sizeof shown);
    if (call_.kind == CallKind::all_to_all) {
        std::memcpy(slot + sizeof shown, call_.sent.data(), call_.sent.size() * sizeof(PartRange));
    }
}

PhasedOperation::Outcome LargeCall::choose(Board& board, Board::Phase phase) {
    if (call_.kind == CallKind::all_to_all) {
        check_parts(board, phase);
    }
    bool addressable = true;
    std::size_t chunk = chunk_;
    std::vector<Direct::Source> sources;
    for (std::int64_t member = 0; member < board.size(); ++member) {
        const Shown shown = shown_by(board, member, phase);
        chunk = std::max(chunk, shown.chunk);
        const bool writes_there = call_.kind == CallKind::all_reduce;
        addressable = addressable && shown.in != nowhere && (!writes_there || shown.out != nowhere);
        std::int64_t from = shown.in;
        if (call_.kind == CallKind::reduce_scatter) {
            from += board.rank() * static_cast<std::int64_t>(call_.out.size());
        } else if (call_.kind == CallKind::all_to_all) {
            from += part_shown(board, member, board.rank(), phase).begin;
        }
        if (addressable) {
            sources.push_back({.in = board.at(member, from),
                               .out = writes_there ? board.at(member, shown.out) : nullptr});
        }
    }
    if (addressable) {
        way_ = std::make_unique<Direct>(call_, std::move(sources), board.rank());
        return way_->read(board, phase);
    }
    const std::size_t longest = call_.kind == CallKind::all_to_all ? longest_part(board, phase) : 0;
    way_ = std::make_unique<Staged>(call_, board, std::min(chunk, board.chunk_bytes()), longest);
    return Outcome::next_phase;
}

void LargeCall::check_parts(const Board& board, Board::Phase phase) const {
    for (std::int64_t member = 0; member < board.size(); ++member) {
        const std::int64_t sent = part_shown(board, member, board.rank(), phase).size;
        const std::int64_t taken = call_.taken[static_cast<std::size_t>(member)].size;
        if (sent != taken) {
            throw LibraryError(
                "shared memory",
                1,
                fmt::format("rank {} sends {} bytes where {} are expected", member, sent, taken),
                "all_to_all",
                Where::here());
        }
    }
}

}  // namespace traindyno
