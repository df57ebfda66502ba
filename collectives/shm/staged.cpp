// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/staged.hpp"

#include <algorithm>
#include <array>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// The same for all readers, or a piece for each.
bool goes_to_all(CallKind kind) {
    return kind == CallKind::all_gather || kind == CallKind::broadcast;
}

/// Piece `number` of a part that begins at `begin`; empty behind its end.
template <class Byte>
std::span<Byte> piece(std::span<Byte> whole,
                      std::size_t begin,
                      std::size_t part_bytes,
                      std::size_t number,
                      std::size_t piece_bytes) {
    const std::size_t offset = std::min(number * piece_bytes, part_bytes);
    return whole.subspan(begin + offset, std::min(piece_bytes, part_bytes - offset));
}

}  // namespace

Staged::Staged(const Call& call, const Board& board, std::size_t chunk, std::size_t longest_part)
    : call_(call),
      members_(static_cast<std::size_t>(board.size())),
      rank_(static_cast<std::size_t>(board.rank())) {
    std::size_t part = longest_part;
    switch (call.kind) {
        case CallKind::all_reduce:
            part = (call.out.size() + members_ - 1) / members_;
            break;
        case CallKind::reduce_scatter:
            part = call.out.size();
            break;
        case CallKind::all_gather:
            part = call.in.size();
            break;
        case CallKind::broadcast:
            part = std::max(call.in.size(), call.out.size());
            break;
        case CallKind::all_to_all:
            break;
    }
    TD_EXPECT(chunk >= cache_line);
    const std::size_t room = chunk * (goes_to_all(call.kind) ? members_ : 1);
    const std::size_t most = room / cache_line * cache_line;
    // Equal rounds, rather than a short one at the end.
    rounds_ = std::max<std::size_t>((part + most - 1) / most, 1);
    piece_bytes_ = (part + rounds_ - 1) / rounds_;
    piece_bytes_ = std::max((piece_bytes_ + cache_line - 1) / cache_line * cache_line, cache_line);
    inputs_.resize(members_);
}

std::span<const std::byte> Staged::given(std::size_t member, std::size_t round) const {
    switch (call_.kind) {
        case CallKind::all_reduce:  // pieces of the members alternate
            return piece(call_.in, 0, call_.in.size(), round * members_ + member, piece_bytes_);
        case CallKind::reduce_scatter:
            return piece(
                call_.in, member * call_.out.size(), call_.out.size(), round, piece_bytes_);
        case CallKind::all_to_all: {
            const PartRange part = call_.sent[member];
            return piece(call_.in,
                         static_cast<std::size_t>(part.begin),
                         static_cast<std::size_t>(part.size),
                         round,
                         piece_bytes_);
        }
        case CallKind::all_gather:
        case CallKind::broadcast:
            break;
    }
    return piece(call_.in, 0, call_.in.size(), round, piece_bytes_);
}

std::span<std::byte> Staged::place(std::size_t member, std::size_t round) const {
    switch (call_.kind) {
        case CallKind::all_reduce:
            return piece(call_.out, 0, call_.out.size(), round * members_ + member, piece_bytes_);
        case CallKind::all_gather:
            return piece(call_.out, member * call_.in.size(), call_.in.size(), round, piece_bytes_);
        case CallKind::all_to_all: {
            const PartRange part = call_.taken[member];
            return piece(call_.out,
                         static_cast<std::size_t>(part.begin),
                         static_cast<std::size_t>(part.size),
                         round,
                         piece_bytes_);
        }
        case CallKind::reduce_scatter:
        case CallKind::broadcast:
            break;
    }
    return piece(call_.out, 0, call_.out.size(), round, piece_bytes_);
}

void Staged::write(Board& board, Board::Phase phase) {
    if (round_ >= rounds_) {
        return;  // the last results of an all-reduce are in the window already
    }
    std::byte* const window = board.window(board.rank(), phase);
    if (goes_to_all(call_.kind)) {
        const std::span<const std::byte> mine = given(rank_, round_);
        copy_bytes(mine.data(), window, mine.size(), Stores::cached);
        return;
    }
    for (std::size_t i = 0; i < members_; ++i) {
        if (i != rank_) {
            const std::span<const std::byte> mine = given(i, round_);
            copy_bytes(mine.data(), window + i * piece_bytes_, mine.size(), Stores::cached);
        }
    }
}

PhasedOperation::Outcome Staged::read(Board& board, Board::Phase phase) {
    const bool gathers = call_.kind == CallKind::all_reduce;
    const bool reduces = gathers || call_.kind == CallKind::reduce_scatter;
    if (round_ < rounds_ && reduces) {
        reduce_own_piece(board, phase);
    }
    if (round_ < rounds_ && !reduces) {
        fetch(board, phase, round_);
    }
    if (gathers && round_ > 0) {
        fetch(board, phase - 1, round_ - 1);
    }
    ++round_;
    return round_ < rounds_ + (gathers ? 1 : 0) ? Outcome::next_phase : Outcome::complete;
}

void Staged::reduce_own_piece(const Board& board, Board::Phase phase) {
    for (std::size_t i = 0; i < members_; ++i) {
        inputs_[i] = board.window(static_cast<std::int64_t>(i), phase) + rank_ * piece_bytes_;
    }
    inputs_[rank_] = given(rank_, round_).data();
    const std::span<std::byte> out = place(rank_, round_);
    const Stores stores = stores_for(call_.out.size());
    if (call_.kind == CallKind::reduce_scatter) {
        std::byte* const target = out.data();
        reduce(inputs_, {&target, 1}, out.size(), call_.rule, stores);
        return;
    }
    const std::array outputs{board.window(board.rank(), phase) + rank_ * piece_bytes_, out.data()};
    reduce(inputs_,
           outputs,
           out.size(),
           call_.rule,
           stores == Stores::streamed ? Stores::first_cached : Stores::cached);
}

void Staged::fetch(const Board& board, Board::Phase phase, std::size_t round) const {
    const Stores stores = stores_for(call_.out.size());
    for (std::size_t step = 1; step <= members_; ++step) {
        const std::size_t i = (rank_ + step) % members_;
        const std::span<std::byte> to = place(i, round);
        if (call_.kind == CallKind::broadcast && static_cast<std::int64_t>(i) != call_.root) {
            continue;
        }
        if (i != rank_) {
            const std::size_t offset = goes_to_all(call_.kind)              ? 0
                                       : call_.kind == CallKind::all_to_all ? rank_ * piece_bytes_
                                                                            : i * piece_bytes_;
            const std::byte* const window = board.window(static_cast<std::int64_t>(i), phase);
            copy_bytes(window + offset, to.data(), to.size(), stores);
        } else if (call_.kind != CallKind::all_reduce && given(i, round).data() != to.data()) {
            copy_bytes(given(i, round).data(), to.data(), to.size(), stores);
        }
    }
}

}  // namespace traindyno
