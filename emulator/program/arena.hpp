// SPDX-License-Identifier: Apache-2.0
// Hands out disjoint, aligned pieces of a space.
#pragma once

#include <cstdint>

#include "emulator/program/op.hpp"

namespace traindyno {

/// Pieces begin at multiples of this many elements: 128 bytes of bf16, two cache lines.
inline constexpr std::int64_t arena_alignment = 64;

[[nodiscard]] constexpr std::int64_t aligned(std::int64_t elements) {
    return (elements + arena_alignment - 1) / arena_alignment * arena_alignment;
}

class Arena {
  public:
    explicit Arena(Space space, std::int64_t begin = 0) : space_(space), end_(begin) {}

    [[nodiscard]] Slice take(std::int64_t elements) {
        const Slice slice{.space = space_, .offset = end_, .elements = elements};
        end_ += aligned(elements);
        return slice;
    }

    [[nodiscard]] std::int64_t end() const { return end_; }

  private:
    Space space_;
    std::int64_t end_;
};

}  // namespace traindyno
