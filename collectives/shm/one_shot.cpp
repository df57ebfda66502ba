// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/one_shot.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace traindyno {

void OneShot::write(Board& board, Board::Phase phase) {
    copy_bytes(call_.in.data(), board.slot(board.rank(), phase), call_.in.size(), Stores::cached);
}

PhasedOperation::Outcome OneShot::read(Board& board, Board::Phase phase) {
    const auto rank = static_cast<std::size_t>(board.rank());
    const auto members = static_cast<std::size_t>(board.size());
    const auto slot = [&](std::size_t member) {
        return board.slot(static_cast<std::int64_t>(member), phase);
    };
    switch (call_.kind) {
        case CallKind::all_reduce:
            reduce_all(board, phase, 0);
            break;
        case CallKind::reduce_scatter:
            reduce_all(board, phase, rank * call_.out.size());
            break;
        case CallKind::all_gather:
            for (std::size_t i = 0; i < members; ++i) {
                copy(slot(i), i * call_.in.size(), call_.in.size());
            }
            break;
        case CallKind::all_to_all: {
            const std::size_t part = call_.in.size() / members;
            for (std::size_t i = 0; i < members; ++i) {
                copy(slot(i) + rank * part, i * part, part);
            }
            break;
        }
        case CallKind::broadcast:
            copy(slot(static_cast<std::size_t>(call_.root)), 0, call_.out.size());
            break;
    }
    return Outcome::complete;
}

void OneShot::reduce_all(const Board& board, Board::Phase phase, std::size_t offset) const {
    constexpr std::size_t usual = 16;  // members whose addresses need no allocation
    const auto members = static_cast<std::size_t>(board.size());
    std::array<const std::byte*, usual> few{};
    std::vector<const std::byte*> many(members > usual ? members : 0);
    const std::span<const std::byte*> inputs =
        members > usual ? std::span{many} : std::span{few}.first(members);
    for (std::size_t i = 0; i < members; ++i) {
        inputs[i] = board.slot(static_cast<std::int64_t>(i), phase) + offset;
    }
    std::byte* const out = call_.out.data();
    reduce(inputs, {&out, 1}, call_.out.size(), call_.rule, Stores::cached);
}

void OneShot::copy(const std::byte* from, std::size_t to, std::size_t bytes) const {
    copy_bytes(from, call_.out.data() + to, bytes, Stores::cached);
}

}  // namespace traindyno
