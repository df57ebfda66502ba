// SPDX-License-Identifier: Apache-2.0
// Which parts of a range of addresses are taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace traindyno {

/// First fit; neighbouring free blocks are joined.
class BlockMap {
  public:
    struct Block {
        std::int64_t begin = 0;
        std::int64_t size = 0;

        friend bool operator==(const Block&, const Block&) = default;
    };

    BlockMap(std::int64_t begin, std::int64_t end) { free_.emplace(begin, end - begin); }

    /// Begin of a block, or nothing when none is large enough. `alignment` is a power of two.
    [[nodiscard]] std::optional<std::int64_t> take(std::int64_t size, std::int64_t alignment);
    /// Gives back what `take` returned; its size.
    std::int64_t give_back(std::int64_t begin);
    /// What `take` returned, with its size, for the block that `place` lies in.
    [[nodiscard]] Block block_of(std::int64_t place) const;

  private:
    std::map<std::int64_t, std::int64_t> free_;   ///< begin -> size
    std::map<std::int64_t, std::int64_t> taken_;  ///< begin -> size
};

}  // namespace traindyno
