// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/scratch_pool.hpp"

#include <bit>
#include <utility>

namespace traindyno {

ScratchPool::Block ScratchPool::take(std::size_t size) {
    // Of its power of two: a small plan must not take a large one's block, or a repeated step could
    // allocate that finds its blocks coming back in another order.
    const std::size_t capacity = std::bit_ceil(size);
    const auto found = spare_.find(capacity);
    if (found == spare_.end()) {
        return Block(capacity);
    }
    Block block = std::move(found->second);
    spare_.erase(found);
    return block;
}

void ScratchPool::give_back(Block block) {
    if (!block.empty()) {
        const std::size_t size = block.size();
        spare_.emplace(size, std::move(block));
    }
}

}  // namespace traindyno
