// SPDX-License-Identifier: Apache-2.0
// Core attention where each context-parallel rank has a part of every sequence: own queries meet
// the keys and values of all ranks, one rank's after the other's.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/program/arena.hpp"
#include "emulator/program/attention_op.hpp"
#include "emulator/program/block_writer.hpp"
#include "emulator/program/stage_context.hpp"

namespace traindyno {

/// Ring attention (Liu et al., arXiv:2310.01889): keys and values go round while attention to the
/// last ones is computed, in backward their gradients one step behind them. Or keys and values are
/// gathered at once and their gradients reduced at once (Llama 3, arXiv:2407.21783, section 3.3.2).
/// Attention to one rank's keys is one operation per sequence: with zigzag parts the keys of an
/// earlier rank are visible by their first half, those of a later rank to the last half of the
/// queries, as TransformerEngine has it. Log-sum-exps weight the merged parts.
class ContextAttention {
  public:
    /// Of a stage with context parallelism.
    ContextAttention(const StageContext& stage, BlockWriter& block, Arena& scratch);

    /// Returns what must be complete before a later block reuses this one's scratch memory: who
    /// reads the context waits for it.
    After forward(const AttentionEnds& ends);
    void backward(const AttentionEnds& ends, const Slice& grad_context, const Slice& grad_qkv);

  private:
    /// The last `queries` of a sequence's rows that see anything of a rank, and the first `keys` of
    /// that rank's rows which they see.
    struct Sight {
        std::int64_t queries = 0;
        std::int64_t keys = 0;
    };

    /// A backward: where it finds what forward left, and what it adds to.
    struct Backward {
        const AttentionEnds& ends;
        Slice grad_context;
        Slice last_statistics;  ///< of the last half of the queries: [batch, heads, seq / 2]
        Slice grad_queries;     ///< [t, attention_width], summed over all keys
    };

    [[nodiscard]] bool ring() const;
    /// Whose keys are attended to in a step; its own first.
    [[nodiscard]] std::int64_t member_in(std::int64_t step) const;
    [[nodiscard]] Sight sight_of(std::int64_t member) const;
    [[nodiscard]] Slice keys_in(std::int64_t step) const;
    void take_scratch();
    void pack(const Slice& qkv);
    After fetch(std::int64_t step);
    After pass_on(const Slice& from, const Slice& to);
    /// Whether anything waited for `arrived`.
    bool attend(std::int64_t step, const AttentionEnds& ends, const After& arrived);
    bool attend_backward(std::int64_t step,
                         const Backward& pass,
                         const Slice& grad_keys,
                         const After& arrived);
    void add_seen(const Sight& sight, const Slice& sum, const Slice& part, const After& after);
    void zero_unseen(const Sight& sight, const Slice& grad_keys);
    [[nodiscard]] Slice slice_last_statistics(const Slice& statistics);
    void backward_on_ring(const Backward& pass, const Slice& own);
    void backward_gathered(const Backward& pass, const Slice& gradients, const Slice& own);
    [[nodiscard]] Slice rows(const Slice& all,
                             std::int64_t sequence,
                             std::int64_t first,
                             std::int64_t count) const;
    [[nodiscard]] Slice statistics_of(const Slice& all, std::int64_t sequence) const;

    const StageContext& stage_;
    const LocalShape& shape_;
    const ContextParallel& cp_;
    BlockWriter& block_;
    Arena& scratch_;
    std::int64_t kv_width_;
    Slice own_keys_;
    std::vector<Slice> keys_;   ///< ring: two that travel, in turn; else of all members, in order
    Slice partial_;             ///< context or query gradient of one sequence, over one rank's keys
    Slice partial_statistics_;  ///< beside that context
    After unread_;              ///< exchanges that nothing has waited for
};

}  // namespace traindyno
