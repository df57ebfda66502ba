// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/scratch_pool.hpp"

#include <utility>

namespace traindyno {

ScratchPool::Block ScratchPool::take(std::size_t size) {
    const auto found = spare_.lower_bound(size);
    if (found == spare_.end()) {
        return {.data = std::make_unique_for_overwrite<std::byte[]>(size), .capacity = size};
    }
    Block block = std::move(found->second);
    spare_.erase(found);
    return block;
}

void ScratchPool::give_back(Block block) {
    if (block.capacity > 0) {
        spare_.emplace(block.capacity, std::move(block));
    }
}

}  // namespace traindyno
