// SPDX-License-Identifier: Apache-2.0
// Ring: every rank talks to its neighbours only (Patarasuk and Yuan, JPDC 69(2), 2009).
#include "collectives/algorithms/strands.hpp"
#include "collectives/cost/parts.hpp"

namespace traindyno {

void ring_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    const Parts parts{chunk.count, member.ranks};
    Summands values = summands_of(member, chunk);
    const auto part_of = [&](const Slice& slice, std::int64_t index) {
        return within(slice, parts.begin(index), parts.size(index));
    };
    const std::int64_t next = after(member, 1);
    const std::int64_t previous = before(member, 1);
    // The sum of part k begins on rank k + 1 and is complete on rank k.
    for (std::int64_t step = 0; step + 1 < member.ranks; ++step) {
        const std::int64_t sent = before(member, step + 1);
        const std::int64_t received = before(member, (step + 2) % member.ranks);
        const Slice& source = step == 0 ? values.own : values.sum;
        writer.send(next, part_of(source, sent));
        writer.accumulate(previous, values, parts.begin(received), parts.size(received));
        writer.end_round();
    }
    writer.finish(part_of(values.sum, member.rank));
    writer.end_round();
    for (std::int64_t step = 0; step + 1 < member.ranks; ++step) {
        writer.send(next, part_of(values.sum, before(member, step)));
        writer.receive(previous, part_of(values.sum, before(member, step + 1)));
        writer.end_round();
    }
}

void ring_reduce_scatter(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    // The input stays as it is: partial sums alternate between two places in scratch memory.
    const auto landing = [&](std::int64_t step) {
        return Slice{
            .buffer = PlanBuffer::scratch, .first = step % 2 * chunk.count, .count = chunk.count};
    };
    const std::int64_t last = member.ranks - 2;
    for (std::int64_t step = 0; step <= last; ++step) {
        const Slice own =
            chunk.of_part(PlanBuffer::input, before(member, (step + 2) % member.ranks));
        writer.send(
            after(member, 1),
            step == 0 ? chunk.of_part(PlanBuffer::input, before(member, 1)) : landing(step - 1));
        if (step < last) {
            writer.receive(before(member, 1), landing(step));
            writer.combine(own, landing(step));
        } else {
            const Slice result = chunk.of(PlanBuffer::work);
            const bool in_place = member.placement == Placement::in_place;
            writer.accumulate(
                before(member, 1),
                {.own = in_place ? result : own, .sum = result, .landing = landing(step).first},
                0,
                chunk.count);
        }
        writer.end_round();
    }
    writer.finish(chunk.of(PlanBuffer::work));
}

void ring_all_gather(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    const Slice own = chunk.of(PlanBuffer::input);
    for (std::int64_t step = 0; step + 1 < member.ranks; ++step) {
        writer.send(after(member, 1),
                    step == 0 ? own : chunk.of_part(PlanBuffer::work, before(member, step)));
        writer.receive(before(member, 1),
                       chunk.of_part(PlanBuffer::work, before(member, step + 1)));
        if (step == 0 && member.placement == Placement::apart) {
            writer.copy(own, chunk.of_part(PlanBuffer::work, member.rank));
        }
        writer.end_round();
    }
}

}  // namespace traindyno
