// SPDX-License-Identifier: Apache-2.0
// Scratch memory of plans: allocated once, then reused.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

namespace traindyno {

class ScratchPool {
  public:
    using Block = std::vector<std::byte>;

    /// A block of at least `size` bytes.
    [[nodiscard]] Block take(std::size_t size);
    void give_back(Block block);

  private:
    std::multimap<std::size_t, Block> spare_;  ///< by size
};

}  // namespace traindyno
