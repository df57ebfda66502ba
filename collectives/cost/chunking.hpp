// SPDX-License-Identifier: Apache-2.0
// Into how many strands a large message is cut, so that reducing one hides behind moving another.
#pragma once

#include <compare>
#include <cstdint>

#include "collectives/cost/algorithm.hpp"

namespace traindyno {

/// `strands` chunks of nearly equal size, of which `lanes` are under way at a time.
struct Chunking {
    std::int64_t strands = 1;
    std::int64_t lanes = 1;

    friend auto operator<=>(const Chunking&, const Chunking&) = default;
};

/// What an operation on `bytes` (see cost_of) of elements of `element_size` bytes is cut into.
[[nodiscard]] Chunking chunking_for(Algorithm algorithm,
                                    CollectiveOp op,
                                    std::int64_t bytes,
                                    std::int64_t ranks,
                                    std::int64_t element_size);

/// The same between hosts: messages of a ring are short enough for TCP to be sent unasked. Longer
/// ones wait for the receiver's answer, which waits in turn behind the data of its direction.
[[nodiscard]] Chunking chunking_between_hosts(Algorithm algorithm,
                                              CollectiveOp op,
                                              std::int64_t bytes,
                                              std::int64_t ranks,
                                              std::int64_t element_size);

}  // namespace traindyno
