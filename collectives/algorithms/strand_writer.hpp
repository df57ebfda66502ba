// SPDX-License-Identifier: Apache-2.0
// Writes one strand of a plan, round by round.
#pragma once

#include <cstdint>

#include "collectives/algorithms/plan.hpp"

namespace traindyno {

/// Part of a slice.
[[nodiscard]] constexpr Slice within(const Slice& slice, std::int64_t first, std::int64_t count) {
    return {.buffer = slice.buffer, .first = slice.first + first, .count = count};
}

/// Values under reduction: this rank's own, and where the sum grows (the same in place).
struct Summands {
    Slice own;
    Slice sum;
    std::int64_t landing = 0;  ///< scratch from here on is free for what arrives
    bool begun = false;        ///< the sum has left `own`

    [[nodiscard]] const Slice& current() const { return begun ? sum : own; }
};

/// Messages and steps of no elements: messages are kept, since both ends must agree on the rounds;
/// steps are dropped.
class StrandWriter {
  public:
    void send(std::int64_t peer, const Slice& what);
    void receive(std::int64_t peer, const Slice& where);
    void copy(const Slice& from, const Slice& into);
    void combine(const Slice& from, const Slice& into);
    void finish(const Slice& what);
    /// Receives the peer's partial sum of elements first .. first + count - 1 and adds it to this
    /// rank's. Afterwards, in later rounds, `summands.begun` must be true.
    void accumulate(std::int64_t peer,
                    const Summands& summands,
                    std::int64_t first,
                    std::int64_t count);
    /// What follows waits for everything so far.
    void end_round();

    [[nodiscard]] Strand take();

    /// Scratch elements the strand uses.
    [[nodiscard]] std::int64_t scratch() const { return scratch_; }

  private:
    void note(const Slice& slice);
    void add_step(LocalStep::Kind kind, const Slice& from, const Slice& into);

    Round round_;
    Strand strand_;
    std::int64_t scratch_ = 0;
};

}  // namespace traindyno
