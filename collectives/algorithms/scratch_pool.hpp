// SPDX-License-Identifier: Apache-2.0
// Scratch memory of plans: allocated once, then reused.
#pragma once

#include <cstddef>
#include <map>
#include <memory>

namespace traindyno {

class ScratchPool {
  public:
    struct Block {
        std::unique_ptr<std::byte[]> data;
        std::size_t capacity = 0;
    };

    [[nodiscard]] Block take(std::size_t size);
    void give_back(Block block);

  private:
    std::multimap<std::size_t, Block> spare_;  ///< by capacity
};

}  // namespace traindyno
