// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/direct.hpp"

#include <algorithm>
#include <utility>

namespace traindyno {

namespace {

/// Bytes read between two looks at other operations: about 50 us.
constexpr std::size_t longest_piece = std::size_t{1} << 20;

std::size_t slice_begin(std::size_t bytes, std::size_t member, std::size_t members) {
    const std::size_t lines = (bytes + cache_line - 1) / cache_line;
    return std::min(bytes, lines * member / members * cache_line);
}

}  // namespace

Direct::Direct(const Call& call, std::vector<Source> sources, std::int64_t rank)
    : call_(call), sources_(std::move(sources)), rank_(static_cast<std::size_t>(rank)) {
    inputs_.resize(sources_.size());
    if (call.kind == CallKind::all_reduce) {
        at_ = slice_begin(call.out.size(), rank_, sources_.size());
        end_ = slice_begin(call.out.size(), rank_ + 1, sources_.size());
        outputs_.resize(sources_.size());
    } else {
        end_ = call.out.size();
        outputs_.resize(1);
    }
}

void Direct::write(Board& /*board*/, Board::Phase /*phase*/) {}

PhasedOperation::Outcome Direct::read(Board& /*board*/, Board::Phase /*phase*/) {
    if (stage_ == Stage::leaving) {
        return Outcome::complete;
    }
    const bool reduces =
        call_.kind == CallKind::all_reduce || call_.kind == CallKind::reduce_scatter;
    if (reduces ? !reduce_piece() : !copy_piece()) {
        return Outcome::more;
    }
    stage_ = Stage::leaving;
    return Outcome::next_phase;
}

bool Direct::reduce_piece() {
    const std::size_t most =
        std::max(longest_piece / sources_.size() / cache_line * cache_line, cache_line);
    const std::size_t bytes = std::min(end_ - at_, most);
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        inputs_[i] = sources_[i].in + at_;
    }
    if (call_.kind == CallKind::all_reduce) {
        for (std::size_t i = 0; i < sources_.size(); ++i) {
            outputs_[i] = sources_[i].out + at_;
        }
    } else {
        outputs_.front() = call_.out.data() + at_;
    }
    reduce(inputs_, outputs_, bytes, call_.rule, stores_for(call_.out.size()));
    at_ += bytes;
    return at_ == end_;
}

bool Direct::copy_piece() {
    // Everyone begins with its right neighbour: no buffer is read by all at once.
    const std::size_t member = (rank_ + 1 + parts_done_) % sources_.size();
    const PartRange part = part_of(member);
    const std::size_t bytes = std::min(static_cast<std::size_t>(part.size) - at_, longest_piece);
    const std::byte* const from = sources_[member].in + at_;
    std::byte* const to = call_.out.data() + part.begin + at_;
    if (from != to) {
        copy_bytes(from, to, bytes, stores_for(call_.out.size()));
    }
    at_ += bytes;
    if (at_ == static_cast<std::size_t>(part.size)) {
        at_ = 0;
        ++parts_done_;
    }
    return parts_done_ == sources_.size();
}

PartRange Direct::part_of(std::size_t member) const {
    switch (call_.kind) {
        case CallKind::all_gather: {
            const auto size = static_cast<std::int64_t>(call_.in.size());
            return {.begin = static_cast<std::int64_t>(member) * size, .size = size};
        }
        case CallKind::all_to_all:
            return call_.taken[member];
        case CallKind::broadcast: {
            const bool from_root = static_cast<std::int64_t>(member) == call_.root;
            return {.begin = 0,
                    .size = from_root ? static_cast<std::int64_t>(call_.out.size()) : 0};
        }
        case CallKind::all_reduce:
        case CallKind::reduce_scatter:
            break;
    }
    return {};
}

}  // namespace traindyno
