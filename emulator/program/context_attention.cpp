// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/context_attention.hpp"

#include <array>

#include "emulator/program/attention_op.hpp"
#include "emulator/program/slice_parts.hpp"

namespace traindyno {

namespace {

Slice first_of(Slice slice, std::int64_t elements) {
    slice.elements = elements;
    return slice;
}

Slice whole_of(const std::vector<Slice>& neighbours) {
    Slice whole = neighbours.front();
    whole.elements *= static_cast<std::int64_t>(neighbours.size());
    return whole;
}

}  // namespace

ContextAttention::ContextAttention(const StageContext& stage, BlockWriter& block, Arena& scratch)
    : stage_(stage),
      shape_(stage.shape),
      cp_(*stage.cp),
      block_(block),
      scratch_(scratch),
      kv_width_(2 * stage.shape.kv_heads * stage.shape.head_size) {}

After ContextAttention::forward(const AttentionEnds& ends) {
    pack(ends.qkv);
    After arrived;
    for (std::int64_t step = 0; step < cp_.ranks; ++step) {
        After next = fetch(step);
        if (attend(step, ends, arrived)) {
            arrived.clear();
        }
        if (!next.empty()) {
            arrived = std::move(next);
        }
    }
    unread_ = arrived;
    return arrived;
}

void ContextAttention::backward(const AttentionEnds& ends,
                                const Slice& grad_context,
                                const Slice& grad_qkv) {
    pack(ends.qkv);
    const Backward pass{
        .ends = ends,
        .grad_context = grad_context,
        .last_statistics = slice_last_statistics(ends.statistics),
        .grad_queries = scratch_.take(shape_.tokens * shape_.attention_width),
    };
    const std::int64_t part = shape_.tokens * kv_width_;
    Slice own;
    if (ring()) {
        own = scratch_.take(part);
        backward_on_ring(pass, own);
    } else {
        const Slice gradients = scratch_.take(cp_.ranks * part);
        own = piece_of(gradients, cp_.rank, cp_.ranks);
        backward_gathered(pass, gradients, own);
    }
    block_.elementwise(ElementwiseKind::join_columns,
                       shape_.tokens,
                       shape_.qkv_width,
                       {pass.grad_queries, own},
                       {grad_qkv},
                       unread_);
    unread_.clear();
}

/// The gradients of a rank's keys leave it with nothing, collect every other rank's part and return
/// to be added to its own.
void ContextAttention::backward_on_ring(const Backward& pass, const Slice& own) {
    const std::int64_t elements = shape_.tokens * kv_width_;
    const Slice part = cp_.ranks > 2 ? scratch_.take(elements) : Slice{};
    const std::array travelling{scratch_.take(elements), scratch_.take(elements)};
    const auto sum_in = [&](std::int64_t step) {
        return travelling[static_cast<std::size_t>(step % 2)];
    };
    After arrived;
    After returned;
    for (std::int64_t step = 0; step < cp_.ranks; ++step) {
        const After next = fetch(step);
        if (step == 0) {
            attend_backward(step, pass, own, arrived);
        } else {
            const Sight sight = sight_of(member_in(step));
            attend_backward(step, pass, step == 1 ? sum_in(1) : part, arrived);
            if (step == 1) {
                zero_unseen(sight, sum_in(1));
            } else {
                add_seen(sight, sum_in(step), part, returned);
            }
            returned = pass_on(sum_in(step), sum_in(step + 1));
        }
        arrived = next;
    }
    block_.elementwise(ElementwiseKind::gradient_add,
                       shape_.tokens,
                       kv_width_,
                       {own, sum_in(cp_.ranks)},
                       {own},
                       returned);
}

void ContextAttention::backward_gathered(const Backward& pass,
                                         const Slice& gradients,
                                         const Slice& own) {
    const After gathered = fetch(0);
    After arrived;
    for (std::int64_t step = 0; step < cp_.ranks; ++step) {
        const std::int64_t member = member_in(step);
        const Slice part = piece_of(gradients, member, cp_.ranks);
        if (attend_backward(step, pass, part, arrived)) {
            arrived.clear();
        }
        if (step == 0) {
            arrived = gathered;
        } else {
            zero_unseen(sight_of(member), part);
        }
    }
    unread_ = block_.communicate(Lane::cp,
                                 Collective{.kind = CollectiveKind::reduce_scatter,
                                            .group = cp_.group,
                                            .input = gradients,
                                            .output = own,
                                            .dtype = stage_.storage});
}

bool ContextAttention::ring() const {
    return cp_.exchange == ContextExchange::ring;
}

std::int64_t ContextAttention::member_in(std::int64_t step) const {
    return (cp_.rank - step + cp_.ranks) % cp_.ranks;
}

ContextAttention::Sight ContextAttention::sight_of(std::int64_t member) const {
    const bool earlier = member < cp_.rank;
    if (cp_.balance == ContextBalance::contiguous) {
        return earlier ? Sight{.queries = shape_.seq, .keys = shape_.seq} : Sight{};
    }
    return earlier ? Sight{.queries = shape_.seq, .keys = shape_.seq / 2}
                   : Sight{.queries = shape_.seq / 2, .keys = shape_.seq};
}

Slice ContextAttention::keys_in(std::int64_t step) const {
    if (step == 0) {
        return own_keys_;
    }
    return keys_[static_cast<std::size_t>(ring() ? step % 2 : member_in(step))];
}

void ContextAttention::take_scratch() {
    const std::int64_t elements = shape_.tokens * kv_width_;
    own_keys_ = scratch_.take(elements);
    partial_ = scratch_.take(shape_.seq * shape_.attention_width);
    partial_statistics_ = scratch_.take(words_of_fp32(shape_.seq * shape_.heads, stage_.storage));
    if (ring()) {
        const Slice first = scratch_.take(elements);
        keys_ = {cp_.ranks > 2 ? scratch_.take(elements) : first, first};
        return;
    }
    const Slice all = scratch_.take(cp_.ranks * elements);
    for (std::int64_t member = 0; member < cp_.ranks; ++member) {
        keys_.push_back(piece_of(all, member, cp_.ranks));
    }
}

/// Own keys and values in one piece.
void ContextAttention::pack(const Slice& qkv) {
    if (keys_.empty()) {
        take_scratch();
    }
    block_.elementwise(
        ElementwiseKind::slice_columns, shape_.tokens, kv_width_, {qkv}, {keys_in(0)}, unread_);
    unread_.clear();
}

/// Begins to move keys and values that later steps need, which wait for what this returns.
After ContextAttention::fetch(std::int64_t step) {
    if (ring()) {
        return step + 1 < cp_.ranks ? pass_on(keys_in(step), keys_in(step + 1)) : After{};
    }
    if (step > 0) {
        return {};
    }
    return block_.communicate(Lane::cp,
                              Collective{.kind = CollectiveKind::all_gather,
                                         .group = cp_.group,
                                         .input = keys_in(0),
                                         .output = whole_of(keys_),
                                         .dtype = stage_.storage});
}

/// To the next rank of the ring, from the previous one: both at once, as neither can wait for the
/// other.
After ContextAttention::pass_on(const Slice& from, const Slice& to) {
    Collective op{.kind = CollectiveKind::all_to_all,
                  .group = cp_.group,
                  .input = from,
                  .output = to,
                  .dtype = stage_.storage};
    op.sent.assign(static_cast<std::size_t>(cp_.ranks), 0);
    op.received = op.sent;
    op.sent[static_cast<std::size_t>((cp_.rank + 1) % cp_.ranks)] = from.elements;
    op.received[static_cast<std::size_t>(member_in(1))] = to.elements;
    return block_.communicate(Lane::cp, op);
}

bool ContextAttention::attend(std::int64_t step, const AttentionEnds& ends, const After& arrived) {
    auto op = attention_op<AttentionForward>(shape_, ends);
    op.keys = shape_.seq;
    op.keys_values = keys_in(step);
    if (step == 0) {
        block_.compute(op);
        return false;
    }
    const Sight sight = sight_of(member_in(step));
    if (sight.queries == 0) {
        return false;
    }
    op.batch = 1;
    op.seq = sight.queries;
    op.keys = sight.keys;
    op.mask = AttentionMask::none;
    op.context = first_of(partial_, sight.queries * shape_.attention_width);
    op.statistics =
        first_of(partial_statistics_, words_of_fp32(sight.queries * shape_.heads, stage_.storage));
    for (std::int64_t sequence = 0; sequence < shape_.batch; ++sequence) {
        const std::int64_t first = shape_.seq - sight.queries;
        const Slice context = rows(ends.context, sequence, first, sight.queries);
        const Slice statistics = statistics_of(ends.statistics, sequence);
        op.qkv = rows(ends.qkv, sequence, first, sight.queries);
        op.keys_values = rows(keys_in(step), sequence, 0, sight.keys);
        block_.compute(op, sequence == 0 ? arrived : After{});
        block_.elementwise(ElementwiseKind::attention_merge,
                           sight.queries,
                           shape_.attention_width,
                           {context, statistics, op.context, op.statistics},
                           {context, statistics});
    }
    return true;
}

/// Writes the gradients of the keys that are seen into their rows of `grad_keys`.
bool ContextAttention::attend_backward(std::int64_t step,
                                       const Backward& pass,
                                       const Slice& grad_keys,
                                       const After& arrived) {
    auto op = attention_op<AttentionBackward>(shape_, pass.ends);
    op.keys = shape_.seq;
    op.grad_context = pass.grad_context;
    op.grad_qkv = pass.grad_queries;
    op.keys_values = keys_in(step);
    op.grad_keys_values = grad_keys;
    if (step == 0) {
        block_.compute(op);
        return false;
    }
    const Sight sight = sight_of(member_in(step));
    if (sight.queries == 0) {
        return false;
    }
    const bool all = sight.queries == shape_.seq;
    op.batch = 1;
    op.seq = sight.queries;
    op.keys = sight.keys;
    op.mask = AttentionMask::none;
    op.grad_qkv = first_of(partial_, sight.queries * shape_.attention_width);
    for (std::int64_t sequence = 0; sequence < shape_.batch; ++sequence) {
        const std::int64_t first = shape_.seq - sight.queries;
        const auto own_rows = [&](const Slice& of) {
            return rows(of, sequence, first, sight.queries);
        };
        op.qkv = own_rows(pass.ends.qkv);
        op.context = own_rows(pass.ends.context);
        op.grad_context = own_rows(pass.grad_context);
        op.statistics = statistics_of(all ? pass.ends.statistics : pass.last_statistics, sequence);
        op.keys_values = rows(keys_in(step), sequence, 0, sight.keys);
        op.grad_keys_values = rows(grad_keys, sequence, 0, sight.keys);
        block_.compute(op, sequence == 0 ? arrived : After{});
        const Slice sum = own_rows(pass.grad_queries);
        block_.elementwise(ElementwiseKind::gradient_add,
                           sight.queries,
                           shape_.attention_width,
                           {sum, op.grad_qkv},
                           {sum});
    }
    return true;
}

/// sum += part, in the rows whose gradients there are.
void ContextAttention::add_seen(const Sight& sight,
                                const Slice& sum,
                                const Slice& part,
                                const After& after) {
    for (std::int64_t sequence = 0; sequence < (sight.keys > 0 ? shape_.batch : 0); ++sequence) {
        const Slice seen = rows(sum, sequence, 0, sight.keys);
        block_.elementwise(ElementwiseKind::gradient_add,
                           sight.keys,
                           kv_width_,
                           {seen, rows(part, sequence, 0, sight.keys)},
                           {seen},
                           sequence == 0 ? after : After{});
    }
}

void ContextAttention::zero_unseen(const Sight& sight, const Slice& grad_keys) {
    const std::int64_t unseen = shape_.seq - sight.keys;
    for (std::int64_t sequence = 0; sequence < (unseen > 0 ? shape_.batch : 0); ++sequence) {
        block_.elementwise(ElementwiseKind::zero,
                           unseen,
                           kv_width_,
                           {},
                           {rows(grad_keys, sequence, sight.keys, unseen)});
    }
}

/// Of the last half of each sequence's queries, where they alone see the keys of later ranks.
Slice ContextAttention::slice_last_statistics(const Slice& statistics) {
    const std::int64_t last = shape_.seq / 2;
    if (cp_.balance == ContextBalance::contiguous || cp_.rank == cp_.ranks - 1) {
        return {};
    }
    const Slice slice =
        scratch_.take(words_of_fp32(shape_.batch * shape_.heads * last, stage_.storage));
    block_.elementwise(ElementwiseKind::slice_columns,
                       shape_.batch * shape_.heads,
                       words_of_fp32(last, stage_.storage),
                       {statistics},
                       {slice});
    return slice;
}

Slice ContextAttention::rows(const Slice& all,
                             std::int64_t sequence,
                             std::int64_t first,
                             std::int64_t count) const {
    return row_range(all, sequence * shape_.seq + first, count, all.elements / shape_.tokens);
}

Slice ContextAttention::statistics_of(const Slice& all, std::int64_t sequence) const {
    return piece_of(all, sequence, shape_.batch);
}

}  // namespace traindyno
