// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/block_map.hpp"

#include <iterator>

#include "emulator/base/error.hpp"

namespace traindyno {

std::optional<std::int64_t> BlockMap::take(std::int64_t size, std::int64_t alignment) {
    TD_EXPECT(size > 0 && alignment > 0 && (alignment & (alignment - 1)) == 0);
    for (auto block = free_.begin(); block != free_.end(); ++block) {
        const auto [begin, length] = *block;
        const std::int64_t aligned = (begin + alignment - 1) & -alignment;
        const std::int64_t before = aligned - begin;
        if (length - before < size) {
            continue;
        }
        free_.erase(block);
        if (before > 0) {
            free_.emplace(begin, before);
        }
        if (length - before > size) {
            free_.emplace(aligned + size, length - before - size);
        }
        taken_.emplace(aligned, size);
        return aligned;
    }
    return std::nullopt;
}

std::int64_t BlockMap::give_back(std::int64_t begin) {
    const auto taken = taken_.find(begin);
    TD_EXPECT(taken != taken_.end());
    const std::int64_t size = taken->second;
    taken_.erase(taken);
    auto block = free_.emplace(begin, size).first;
    const auto next = std::next(block);
    if (next != free_.end() && next->first == begin + size) {
        block->second += next->second;
        free_.erase(next);
    }
    if (block != free_.begin()) {
        const auto previous = std::prev(block);
        if (previous->first + previous->second == begin) {
            previous->second += block->second;
            free_.erase(block);
        }
    }
    return size;
}

BlockMap::Block BlockMap::block_of(std::int64_t place) const {
    const auto next = taken_.upper_bound(place);
    TD_EXPECT(next != taken_.begin());
    const auto [begin, size] = *std::prev(next);
    TD_EXPECT(place < begin + size);
    return {.begin = begin, .size = size};
}

}  // namespace traindyno
