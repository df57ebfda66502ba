// SPDX-License-Identifier: Apache-2.0
// Recursive halving, and doubling back: few rounds and few bytes (Rabenseifner; Thakur,
// Rabenseifner and Gropp, IJHPCA 19(1), 2005, sections 4.4 and 4.5).
#include "collectives/algorithms/strands.hpp"
#include "collectives/cost/parts.hpp"

namespace traindyno {

namespace {

/// Ranks of a pair sum one half each; the even one gets the other half's sum. True on the odd rank,
/// which is done then.
bool fold(StrandWriter& writer, const Member& member, const Folding& folding, Summands& values) {
    if (member.rank >= 2 * folding.folded) {
        return false;
    }
    const Parts halves{values.own.count, 2};
    const bool odd = member.rank % 2 == 1;
    const std::int64_t peer = odd ? member.rank - 1 : member.rank + 1;
    const std::int64_t kept = odd ? 1 : 0;
    const std::int64_t given = 1 - kept;
    writer.send(peer, within(values.own, halves.begin(given), halves.size(given)));
    writer.accumulate(peer, values, halves.begin(kept), halves.size(kept));
    writer.end_round();
    values.begun = true;
    const Slice upper = within(values.sum, halves.begin(1), halves.size(1));
    if (odd) {
        writer.send(peer, upper);
    } else {
        writer.receive(peer, upper);
    }
    writer.end_round();
    return odd;
}

/// Halves what this member sums until only its own block is left. `begin(i)` is the first element
/// of member i's block.
template <class Begin>
void halve(StrandWriter& writer,
           const Folding& folding,
           std::int64_t me,
           Summands& values,
           Begin&& begin) {
    for (std::int64_t half = folding.members() / 2; half > 0; half /= 2) {
        const std::int64_t mine = me / half * half;
        const std::int64_t others = mine ^ half;
        const std::int64_t peer = folding.rank_of(me ^ half);
        writer.send(peer,
                    within(values.current(), begin(others), begin(others + half) - begin(others)));
        writer.accumulate(peer, values, begin(mine), begin(mine + half) - begin(mine));
        writer.end_round();
        values.begun = true;
    }
}

}  // namespace

void halving_all_reduce(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    const Folding folding = Folding::of(member.ranks);
    Summands values = summands_of(member, chunk);
    if (fold(writer, member, folding, values)) {
        writer.receive(member.rank - 1, values.sum);
        return;
    }
    const Parts parts{chunk.count, folding.members()};
    const std::int64_t me = folding.member_of(member.rank);
    halve(writer, folding, me, values, [&](std::int64_t i) { return parts.begin(i); });
    writer.finish(within(values.sum, parts.begin(me), parts.size(me)));
    writer.end_round();
    const auto block = [&](std::int64_t first, std::int64_t members) {
        return within(
            values.sum, parts.begin(first), parts.begin(first + members) - parts.begin(first));
    };
    for (std::int64_t held = 1; held < folding.members(); held *= 2) {
        const std::int64_t mine = me / held * held;
        const std::int64_t peer = folding.rank_of(me ^ held);
        writer.send(peer, block(mine, held));
        writer.receive(peer, block(mine ^ held, held));
        writer.end_round();
    }
    if (member.rank < 2 * folding.folded) {
        writer.send(member.rank + 1, values.sum);
    }
}

void halving_reduce_scatter(StrandWriter& writer, const Member& member, const Chunk& chunk) {
    const Folding folding = Folding::of(member.ranks);
    const std::int64_t all = member.ranks * chunk.count;
    const Slice sum{.buffer = PlanBuffer::scratch, .first = 0, .count = all};
    const bool contiguous = chunk.count == chunk.part;
    Summands values{
        .own = {.buffer = PlanBuffer::input, .first = 0, .count = all}, .sum = sum, .landing = all};
    if (!contiguous) {  // blocks of several parts' chunks must lie together
        for (std::int64_t part = 0; part < member.ranks; ++part) {
            writer.copy(chunk.of_part(PlanBuffer::input, part),
                        within(sum, part * chunk.count, chunk.count));
        }
        writer.end_round();
        values.own = sum;
    }
    const auto of_rank = [&](std::int64_t rank) {
        return within(sum, rank * chunk.count, chunk.count);
    };
    const Slice result = chunk.of(PlanBuffer::work);
    if (fold(writer, member, folding, values)) {
        writer.receive(member.rank - 1, result);
        return;
    }
    halve(writer, folding, folding.member_of(member.rank), values, [&](std::int64_t i) {
        return folding.rank_of(i) * chunk.count;
    });
    const bool in_pair = member.rank < 2 * folding.folded;
    writer.finish(of_rank(member.rank));
    if (in_pair) {
        writer.finish(of_rank(member.rank + 1));
    }
    writer.copy(of_rank(member.rank), result);
    writer.end_round();
    if (in_pair) {
        writer.send(member.rank + 1, of_rank(member.rank + 1));
    }
}

}  // namespace traindyno
