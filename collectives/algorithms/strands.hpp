// SPDX-License-Identifier: Apache-2.0
// One strand of each algorithm; build_plan() cuts the message and calls these.
#pragma once

#include <cstdint>

#include "collectives/algorithms/member.hpp"
#include "collectives/algorithms/strand_writer.hpp"

namespace traindyno {

/// Elements first .. first + count - 1 of the buffer, or of each of the parts, which are `part`
/// elements long.
struct Chunk {
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::int64_t part = 0;

    /// The chunk of part `index` in a buffer of all parts.
    [[nodiscard]] Slice of_part(PlanBuffer buffer, std::int64_t index) const {
        return {.buffer = buffer, .first = index * part + first, .count = count};
    }

    /// The chunk in a buffer of one part, or of the whole.
    [[nodiscard]] Slice of(PlanBuffer buffer) const {
        return {.buffer = buffer, .first = first, .count = count};
    }
};

/// An all_reduce's own values and sum, on the elements of the chunk.
[[nodiscard]] Summands summands_of(const Member& member, const Chunk& chunk);

// ring.cpp
void ring_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk);
void ring_reduce_scatter(StrandWriter& writer, const Member& member, const Chunk& chunk);
void ring_all_gather(StrandWriter& writer, const Member& member, const Chunk& chunk);

// doubling.cpp; all_gather takes whole parts only.
void doubling_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk);
void doubling_all_gather(StrandWriter& writer, const Member& member, const Chunk& chunk);

// halving.cpp
void halving_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk);
void halving_reduce_scatter(StrandWriter& writer, const Member& member, const Chunk& chunk);

// double_tree.cpp; even and odd strands use one tree each.
void tree_all_reduce(StrandWriter& writer,
                     const Member& member,
                     const Chunk& chunk,
                     std::int64_t strand);
void tree_broadcast(StrandWriter& writer,
                    const Member& member,
                    const Chunk& chunk,
                    std::int64_t strand,
                    std::int64_t root);

// all_to_all.cpp
void bruck_all_to_all(StrandWriter& writer, const Member& member, const Chunk& chunk);

// broadcast.cpp
void binomial_broadcast(StrandWriter& writer,
                        const Member& member,
                        const Chunk& chunk,
                        std::int64_t root);
void scatter_all_gather_broadcast(StrandWriter& writer,
                                  const Member& member,
                                  const Chunk& chunk,
                                  std::int64_t root);

}  // namespace traindyno
