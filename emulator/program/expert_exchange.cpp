// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/expert_exchange.hpp"

#include "emulator/program/slice_parts.hpp"

namespace traindyno {

ExpertExchange::ExpertExchange(const StageContext& stage, BlockWriter& block, Arena& scratch)
    : stage_(stage),
      block_(block),
      scratch_(scratch),
      senders_(stage.routes.members() * (stage.shape.tokens / stage.shape.own_tokens)),
      received_(senders_ * stage.routes.rows_to(stage.expert_position)) {}

/// All of the rows that travel; without expert parallelism they are where they should be.
After ExpertExchange::exchange(Way way, const Slice& in, const Slice& out, const After& after) {
    if (!stage_.ep) {
        return after;
    }
    Collective op{.kind = CollectiveKind::all_to_all,
                  .group = *stage_.ep,
                  .input = in,
                  .output = out,
                  .dtype = stage_.storage};
    if (!stage_.routes.equal_parts()) {
        const std::int64_t own =
            stage_.routes.rows_to(stage_.expert_position) * stage_.shape.hidden;
        for (std::int64_t member = 0; member < stage_.routes.members(); ++member) {
            op.sent.push_back(stage_.routes.rows_to(member) * stage_.shape.hidden);
            op.received.push_back(own);
        }
        if (way == Way::combine) {
            op.sent.swap(op.received);
        }
    }
    After exchanged = block_.communicate(Lane::ep, op, after);
    block_.set_aside(exchanged);
    return exchanged;
}

After ExpertExchange::gather(const Slice& own, const Slice& all, const After& after) {
    if (!stage_.sequence_parallel()) {
        return after;
    }
    return block_.communicate(Lane::tp,
                              Collective{.kind = CollectiveKind::all_gather,
                                         .group = *stage_.tp,
                                         .input = own,
                                         .output = all,
                                         .dtype = stage_.storage},
                              after);
}

After ExpertExchange::scatter(const Slice& all, const Slice& own, const After& after) {
    if (!stage_.sequence_parallel()) {
        return after;
    }
    return block_.communicate(Lane::tp,
                              Collective{.kind = CollectiveKind::reduce_scatter,
                                         .group = *stage_.tp,
                                         .input = all,
                                         .output = own,
                                         .dtype = stage_.storage},
                              after);
}

Slice ExpertExchange::between(const Slice& outside, const Slice& inside) {
    if (!stage_.ep) {
        return outside;
    }
    return stage_.sequence_parallel()
               ? scratch_.take(stage_.routes.received(stage_.expert_position) * stage_.shape.hidden)
               : inside;
}

bool ExpertExchange::sorts() const {
    return travels() && stage_.shape.local_experts > 1;
}

After ExpertExchange::sort(Order to, const Slice& from, const Slice& sorted, const After& after) {
    if (!sorts()) {
        return after;
    }
    block_.elementwise(ElementwiseKind::concatenate,
                       received_,
                       stage_.shape.hidden,
                       pieces(to, from),
                       {sorted},
                       after);
    return {};
}

std::vector<Slice> ExpertExchange::pieces(Order to, const Slice& from) const {
    const ExpertRoutes& routes = stage_.routes;
    std::vector<Slice> list;
    const auto add = [&](std::int64_t sender, std::int64_t local) {
        const std::int64_t rows = routes.rows(stage_.expert_position, local);
        const std::int64_t first =
            to == Order::by_expert
                ? sender * routes.rows_to(stage_.expert_position) + rows_before(local)
                : senders_ * rows_before(local) + sender * rows;
        if (rows > 0) {
            list.push_back(row_range(from, first, rows, stage_.shape.hidden));
        }
    };
    const std::int64_t count = senders_ * stage_.shape.local_experts;
    for (std::int64_t i = 0; i < count; ++i) {
        if (to == Order::by_expert) {
            add(i % senders_, i / senders_);
        } else {
            add(i / stage_.shape.local_experts, i % stage_.shape.local_experts);
        }
    }
    return list;
}

std::int64_t ExpertExchange::rows_of(std::int64_t local) const {
    return senders_ * stage_.routes.rows(stage_.expert_position, local);
}

std::int64_t ExpertExchange::rows_before(std::int64_t local) const {
    std::int64_t before = 0;
    for (std::int64_t earlier = 0; earlier < local; ++earlier) {
        before += stage_.routes.rows(stage_.expert_position, earlier);
    }
    return before;
}

Slice ExpertExchange::rows(const Slice& all, std::int64_t local) const {
    return row_range(all, senders_ * rows_before(local), rows_of(local), all.elements / received_);
}

}  // namespace traindyno
