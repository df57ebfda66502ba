// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/strand_writer.hpp"

#include <algorithm>
#include <utility>

#include "emulator/base/error.hpp"

namespace traindyno {

void StrandWriter::send(std::int64_t peer, const Slice& what) {
    note(what);
    round_.sends.push_back({.peer = GroupRank{peer}, .slice = what});
}

void StrandWriter::receive(std::int64_t peer, const Slice& where) {
    note(where);
    round_.receives.push_back({.peer = GroupRank{peer}, .slice = where});
}

void StrandWriter::copy(const Slice& from, const Slice& into) {
    add_step(LocalStep::Kind::copy, from, into);
}

void StrandWriter::combine(const Slice& from, const Slice& into) {
    add_step(LocalStep::Kind::combine, from, into);
}

void StrandWriter::finish(const Slice& what) {
    add_step(LocalStep::Kind::finish, what, what);
}

void StrandWriter::accumulate(std::int64_t peer,
                              const Summands& summands,
                              std::int64_t first,
                              std::int64_t count) {
    const Slice sum = within(summands.sum, first, count);
    if (!summands.begun && summands.own != summands.sum) {
        // Straight to where the sum will be: neither scratch nor a copy is needed.
        receive(peer, sum);
        combine(within(summands.own, first, count), sum);
        return;
    }
    const Slice landing{.buffer = PlanBuffer::scratch, .first = summands.landing, .count = count};
    receive(peer, landing);
    combine(landing, sum);
}

void StrandWriter::end_round() {
    if (!round_.sends.empty() || !round_.receives.empty() || !round_.steps.empty()) {
        strand_.rounds.push_back(std::exchange(round_, {}));
    }
}

Strand StrandWriter::take() {
    end_round();
    return std::exchange(strand_, {});
}

void StrandWriter::note(const Slice& slice) {
    TD_EXPECT(slice.first >= 0 && slice.count >= 0);
    if (slice.buffer == PlanBuffer::scratch) {
        scratch_ = std::max(scratch_, slice.first + slice.count);
    }
}

void StrandWriter::add_step(LocalStep::Kind kind, const Slice& from, const Slice& into) {
    TD_EXPECT(from.count == into.count);
    if (into.count > 0) {
        note(from);
        note(into);
        round_.steps.push_back({.kind = kind, .from = from, .into = into});
    }
}

}  // namespace traindyno
