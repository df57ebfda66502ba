// SPDX-License-Identifier: Apache-2.0
// Moves rows between the ranks that have tokens and those that have the experts they visit.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/program/arena.hpp"
#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// The traffic of one layer's experts, written into a block: all-to-all over ep, and with sequence
/// parallelism gathering over tp on the side of the experts (Megatron-LM,
/// core/transformer/moe/token_dispatcher.py, MoEAlltoAllTokenDispatcher). r rows come to a rank.
class ExpertExchange {
  public:
    ExpertExchange(const StageContext& stage, BlockWriter& block, Arena& scratch);

    /// To the experts of other ranks, or back.
    enum class Way : std::uint8_t { dispatch, combine };
    /// Of rows that arrived: as they come, and as products take them.
    enum class Order : std::uint8_t { by_sender, by_expert };

    // Each returns what a reader of its last slice waits for.
    After exchange(Way way, const Slice& in, const Slice& out, const After& after);
    /// Of all tensor ranks, with sequence parallelism.
    After gather(const Slice& own, const Slice& all, const After& after);
    After scatter(const Slice& all, const Slice& own, const After& after);
    After sort(Order to, const Slice& from, const Slice& sorted, const After& after);

    /// Rows between the exchange over ep, which has `outside` on its other side, and the gathering
    /// over tp, which has `inside`.
    [[nodiscard]] Slice between(const Slice& outside, const Slice& inside);

    /// Whether rows leave this rank.
    [[nodiscard]] bool travels() const { return stage_.ep || stage_.sequence_parallel(); }

    /// Whether rows arrive in another order than products take them.
    [[nodiscard]] bool sorts() const;

    [[nodiscard]] std::int64_t received() const { return received_; }

    /// That come to one of this rank's experts.
    [[nodiscard]] std::int64_t rows_of(std::int64_t local) const;
    /// An expert's part of a buffer of r rows by expert.
    [[nodiscard]] Slice rows(const Slice& all, std::int64_t local) const;

  private:
    /// Rows from one sender to one expert each, in the order `to`.
    [[nodiscard]] std::vector<Slice> pieces(Order to, const Slice& from) const;
    /// Of this rank's experts before `local`, from one sender.
    [[nodiscard]] std::int64_t rows_before(std::int64_t local) const;

    const StageContext& stage_;
    BlockWriter& block_;
    Arena& scratch_;
    std::int64_t senders_;   ///< ranks that rows come from
    std::int64_t received_;  ///< r
};

}  // namespace traindyno
