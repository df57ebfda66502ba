// SPDX-License-Identifier: Apache-2.0
// All-to-all: pairwise exchange, and Bruck's for short messages (Bruck, Ho, Kipnis, Upfal and
// Weathersby, IEEE TPDS 8(11), 1997).
#include <vector>

#include "collectives/algorithms/build_plan.hpp"
#include "collectives/algorithms/strands.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

CollectivePlan build_exchange(std::int64_t rank,
                              std::span<const std::int64_t> sent,
                              std::span<const std::int64_t> received) {
    TD_EXPECT(sent.size() == received.size());
    const Member member{.rank = rank, .ranks = static_cast<std::int64_t>(sent.size())};
    const std::vector<PartRange> given = part_ranges(sent, 0, member.ranks);
    const std::vector<PartRange> taken = part_ranges(received, 0, member.ranks);
    const auto from = [&](std::int64_t peer) {
        const PartRange& part = given[static_cast<std::size_t>(peer)];
        return Slice{.buffer = PlanBuffer::input, .first = part.begin, .count = part.size};
    };
    const auto into = [&](std::int64_t peer) {
        const PartRange& part = taken[static_cast<std::size_t>(peer)];
        return Slice{.buffer = PlanBuffer::work, .first = part.begin, .count = part.size};
    };
    StrandWriter writer;
    for (std::int64_t distance = 1; distance < member.ranks; ++distance) {
        const std::int64_t to = after(member, distance);
        const std::int64_t source = before(member, distance);
        if (from(to).count > 0) {
            writer.send(to, from(to));
        }
        if (into(source).count > 0) {
            writer.receive(source, into(source));
        }
        writer.end_round();
    }
    writer.copy(from(rank), into(rank));
    return {.strands = {writer.take()}};
}

void bruck_all_to_all(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    // Item i is on its way to the rank i hops away, the bits of i one after the other.
    TD_EXPECT(chunk.count == chunk.part);
    const std::int64_t part = chunk.part;
    const std::int64_t ranks = member.ranks;
    const auto scratch = [&](std::int64_t index) {
        return Slice{.buffer = PlanBuffer::scratch, .first = index * part, .count = part};
    };
    const std::int64_t packed = ranks;                      // after the items that wait
    const std::int64_t arrived = packed + (ranks + 1) / 2;  // after those about to be sent
    std::vector<Slice> items;
    for (std::int64_t i = 0; i < ranks; ++i) {
        items.push_back(chunk.of_part(PlanBuffer::input, after(member, i)));
    }
    writer.copy(items.front(), chunk.of_part(PlanBuffer::work, member.rank));
    for (std::int64_t bit = 1; bit < ranks; bit *= 2) {
        std::vector<std::int64_t> moving;
        for (std::int64_t i = bit; i < ranks; ++i) {
            if ((i & bit) != 0) {
                writer.copy(items[static_cast<std::size_t>(i)],
                            scratch(packed + static_cast<std::int64_t>(moving.size())));
                moving.push_back(i);
            }
        }
        writer.end_round();
        const auto moved = static_cast<std::int64_t>(moving.size());
        const auto all = [&](std::int64_t first) {
            return Slice{
                .buffer = PlanBuffer::scratch, .first = first * part, .count = moved * part};
        };
        writer.send(after(member, bit), all(packed));
        writer.receive(before(member, bit), all(arrived));
        for (std::int64_t slot = 0; slot < moved; ++slot) {
            const std::int64_t item = moving[static_cast<std::size_t>(slot)];
            const bool there = item < 2 * bit;
            const Slice place =
                there ? chunk.of_part(PlanBuffer::work, before(member, item)) : scratch(item);
            writer.copy(scratch(arrived + slot), place);
            items[static_cast<std::size_t>(item)] = place;
        }
        // Packing for the next round follows in this one.
    }
}

}  // namespace traindyno
