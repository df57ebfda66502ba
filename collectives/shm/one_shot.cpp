// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/one_shot.hpp"

#include <cstring>
#include <optional>

namespace traindyno {

namespace {

constexpr std::int64_t copied = -1;  ///< in a header, instead of an offset in the heap

/// Below, a copy is faster than another phase, which takes two cache misses per member.
constexpr std::size_t shortest_place = 2048;

}  // namespace

void OneShot::write(Board& board, Board::Phase phase) {
    if (!shown_) {
        show(board, phase);
        shown_ = true;
    }
}

void OneShot::show(const Board& board, Board::Phase phase) {
    std::byte* const slot = board.slot(board.rank(), phase);
    std::optional<std::int64_t> place;
    if (showing_ == Showing::places && call_.in.size() >= shortest_place) {
        place = board.heap().find(call_.in);
    }
    const std::int64_t header = place.value_or(copied);
    std::memcpy(slot, &header, sizeof header);
    if (!place) {
        copy_bytes(call_.in.data(), slot + header_bytes, call_.in.size(), Stores::cached);
    }
    in_place_ = place && call_.kind == CallKind::all_reduce && call_.in.data() == call_.out.data();
}

PhasedOperation::Outcome OneShot::read(Board& board, Board::Phase phase) {
    if (inputs_.empty()) {
        find_inputs(board, phase);
        use(board);
        return places_shown_ ? Outcome::next_phase : Outcome::complete;
    }
    copy_bytes(result_.data(), call_.out.data(), result_.size(), Stores::cached);
    return Outcome::complete;
}

void OneShot::find_inputs(const Board& board, Board::Phase phase) {
    inputs_.resize(static_cast<std::size_t>(board.size()));
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
        const auto member = static_cast<std::int64_t>(i);
        const std::byte* const slot = board.slot(member, phase);
        std::int64_t header = 0;
        std::memcpy(&header, slot, sizeof header);
        inputs_[i] = header == copied ? slot + header_bytes : board.at(member, header);
        places_shown_ = places_shown_ || header != copied;
    }
}

void OneShot::use(const Board& board) {
    const auto rank = static_cast<std::size_t>(board.rank());
    switch (call_.kind) {
        case CallKind::all_reduce:
            reduce_all(0);
            break;
        case CallKind::reduce_scatter:
            reduce_all(rank * call_.out.size());
            break;
        case CallKind::all_gather:
            for (std::size_t i = 0; i < inputs_.size(); ++i) {
                copy(inputs_[i], i * call_.in.size(), call_.in.size());
            }
            break;
        case CallKind::all_to_all: {
            const std::size_t part = call_.in.size() / inputs_.size();
            for (std::size_t i = 0; i < inputs_.size(); ++i) {
                copy(inputs_[i] + rank * part, i * part, part);
            }
            break;
        }
        case CallKind::broadcast:
            copy(inputs_[static_cast<std::size_t>(call_.root)], 0, call_.out.size());
            break;
    }
}

void OneShot::reduce_all(std::size_t offset) {
    for (const std::byte*& input : inputs_) {
        input += offset;
    }
    result_.resize(in_place_ ? call_.out.size() : 0);
    std::byte* const out = in_place_ ? result_.data() : call_.out.data();
    reduce(inputs_, {&out, 1}, call_.out.size(), call_.rule, Stores::cached);
}

void OneShot::copy(const std::byte* from, std::size_t to, std::size_t bytes) const {
    std::byte* const target = call_.out.data() + to;
    if (from != target) {  // an all-gather in place has its own part already
        copy_bytes(from, target, bytes, Stores::cached);
    }
}

}  // namespace traindyno
