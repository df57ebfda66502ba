// SPDX-License-Identifier: Apache-2.0
// Recursive doubling: few rounds (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005).
#include <algorithm>

#include "collectives/algorithms/strands.hpp"
#include "collectives/cost/parts.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

void doubling_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    const Folding folding = Folding::of(member.ranks);
    Summands values = summands_of(member, chunk);
    const bool in_pair = member.rank < 2 * folding.folded;
    if (in_pair && member.rank % 2 == 1) {
        writer.send(member.rank - 1, values.own);
        writer.end_round();
        writer.receive(member.rank - 1, values.sum);
        return;
    }
    const auto accumulate_all = [&](std::int64_t peer) {
        writer.accumulate(peer, values, 0, chunk.count);
        writer.end_round();
        values.begun = true;
    };
    if (in_pair) {
        accumulate_all(member.rank + 1);
    }
    const std::int64_t me = folding.member_of(member.rank);
    for (std::int64_t step = 0; step < folding.steps; ++step) {
        const std::int64_t peer = folding.rank_of(me ^ (std::int64_t{1} << step));
        writer.send(peer, values.current());
        accumulate_all(peer);
    }
    writer.finish(values.sum);
    writer.end_round();
    if (in_pair) {
        writer.send(member.rank + 1, values.sum);
    }
}

namespace {

/// Whole parts first .. first + count - 1 of the output.
Slice parts_of(const Chunk& chunk, std::int64_t first, std::int64_t count) {
    return {.buffer = PlanBuffer::work, .first = first * chunk.part, .count = count * chunk.part};
}

/// Blocks of neighbours double; a power of two of ranks.
void exchange_aligned_blocks(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    for (std::int64_t held = 1; held < member.ranks; held *= 2) {
        const std::int64_t mine = member.rank / held * held;
        writer.send(member.rank ^ held, parts_of(chunk, mine, held));
        writer.receive(member.rank ^ held, parts_of(chunk, mine ^ held, held));
        writer.end_round();
    }
}

/// Parts first, first + 1, ... counted round the ring: one message, or two where they wrap.
template <class Post>
void for_each_run(std::int64_t first, std::int64_t count, std::int64_t ranks, Post&& post) {
    const std::int64_t until_the_end = std::min(count, ranks - first);
    post(first, until_the_end);
    if (count > until_the_end) {
        post(0, count - until_the_end);
    }
}

/// Bruck et al., IEEE TPDS 8(11), 1997, straight in the output: any number of ranks.
void exchange_blocks_round_the_ring(StrandWriter& writer,
                                    const Member& member,
                                    const Chunk& chunk) {
    for (std::int64_t held = 1; held < member.ranks; held *= 2) {
        const std::int64_t count = std::min(held, member.ranks - held);
        for_each_run(member.rank, count, member.ranks, [&](std::int64_t first, std::int64_t run) {
            writer.send(before(member, held), parts_of(chunk, first, run));
        });
        const std::int64_t from = after(member, held);
        for_each_run(from, count, member.ranks, [&](std::int64_t first, std::int64_t run) {
            writer.receive(from, parts_of(chunk, first, run));
        });
        writer.end_round();
    }
}

}  // namespace

void doubling_all_gather(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    TD_EXPECT(chunk.count == chunk.part);
    if (member.placement == Placement::apart) {
        writer.copy(chunk.of(PlanBuffer::input), parts_of(chunk, member.rank, 1));
        writer.end_round();
    }
    if (Folding::of(member.ranks).folded == 0) {
        exchange_aligned_blocks(writer, member, chunk);
    } else {
        exchange_blocks_round_the_ring(writer, member, chunk);
    }
}

}  // namespace traindyno
