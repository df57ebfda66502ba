// SPDX-License-Identifier: Apache-2.0
// Parts of a slice.
#pragma once

#include <cstdint>

#include "emulator/base/error.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// Piece `index` of `count` equal ones.
[[nodiscard]] inline Slice piece_of(const Slice& whole, std::int64_t index, std::int64_t count) {
    TD_EXPECT(whole.elements % count == 0);
    const std::int64_t elements = whole.elements / count;
    return {.space = whole.space, .offset = whole.offset + index * elements, .elements = elements};
}

/// `count` rows of `width` elements, from row `first` on.
[[nodiscard]] inline Slice row_range(const Slice& whole,
                                     std::int64_t first,
                                     std::int64_t count,
                                     std::int64_t width) {
    return {
        .space = whole.space, .offset = whole.offset + first * width, .elements = count * width};
}

}  // namespace traindyno
