// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/expert_mlp.hpp"

namespace traindyno {

ExpertMlp::ExpertMlp(const StageContext& stage, BlockWriter& block, Arena& kept, Arena& scratch)
    : stage_(stage),
      shape_(stage.shape),
      weights_(stage.parameters.expert_layer),
      block_(block),
      scratch_(scratch),
      tokens_(shape_.own_tokens),
      slots_(stage.routes.sent()),
      senders_(stage.routes.members() * (shape_.tokens / shape_.own_tokens)),
      received_(senders_ * stage.routes.rows_to(stage.expert_position)) {
    logits_ = kept.take(tokens_ * shape_.experts);
    routing_weights_ = kept.take(tokens_ * shape_.top_k);
    dispatched_ = kept.take(received_ * shape_.hidden);
    up_ = kept.take(received_ * shape_.expert_up_width);
    activated_ = kept.take(received_ * shape_.expert_ffn);
    combined_ = kept.take(slots_ * shape_.hidden);
    shared_up_ = kept.take(shape_.tokens * shape_.shared_up_width);
    shared_activated_ = kept.take(shape_.tokens * shape_.shared_ffn);
}

void ExpertMlp::forward(const TokenRows& x, const TokenRows& y) {
    const std::int64_t h = shape_.hidden;
    block_.compute(traindyno::forward(router(), x.own, logits_));
    block_.elementwise(
        ElementwiseKind::router_forward, tokens_, shape_.experts, {logits_}, {routing_weights_});
    const Slice permuted = travels() ? scratch_.take(slots_ * h) : dispatched_;
    block_.elementwise(ElementwiseKind::permute_forward, tokens_, h, {x.own}, {permuted});
    const Slice landing = sorts() ? scratch_.take(received_ * h) : dispatched_;
    const Slice arriving = between(permuted, landing);
    const After arrived = exchange(Way::dispatch, permuted, arriving, {});
    const Beside shared = shared_forward(x, y);
    const After gathered = gather(arriving, landing, arrived);
    const Slice processed = travels() ? scratch_.take(received_ * h) : combined_;
    const After done =
        experts_forward(processed, sort(Order::by_expert, landing, dispatched_, gathered));
    const Slice leaving = sorts() ? scratch_.take(received_ * h) : processed;
    const Slice returning = between(combined_, leaving);
    const After scattered =
        scatter(leaving, returning, sort(Order::by_sender, processed, leaving, done));
    const After combined = exchange(Way::combine, returning, combined_, scattered);
    const Slice routed = shape_.shared_ffn == 0 ? y.own : scratch_.take(tokens_ * h);
    block_.elementwise(ElementwiseKind::unpermute_forward,
                       tokens_,
                       h,
                       {combined_, routing_weights_},
                       {routed},
                       combined);
    add_shared(routed, shared, y.own);
}

void ExpertMlp::backward(const TokenRows& x, const TokenRows& dy, const TokenRows& dx) {
    const std::int64_t h = shape_.hidden;
    const Slice dcombined = scratch_.take(slots_ * h);
    const Slice dweights = scratch_.take(tokens_ * shape_.top_k);
    block_.elementwise(ElementwiseKind::unpermute_backward,
                       tokens_,
                       h,
                       {dy.own, combined_, routing_weights_},
                       {dcombined, dweights});
    const Slice dprocessed = travels() ? scratch_.take(received_ * h) : dcombined;
    const Slice landing = sorts() ? scratch_.take(received_ * h) : dprocessed;
    const Slice arriving = between(dcombined, landing);
    const After arrived = exchange(Way::dispatch, dcombined, arriving, {});
    const Slice through_router = router_backward(x.own, dweights);
    const Beside shared = shared_backward(x, dy, dx);
    const After gathered = gather(arriving, landing, arrived);
    const Slice ddispatched = scratch_.take(received_ * h);
    const After done = experts_backward(
        dprocessed, ddispatched, sort(Order::by_expert, landing, dprocessed, gathered));
    const Slice leaving = sorts() ? scratch_.take(received_ * h) : ddispatched;
    const Slice dpermuted = travels() ? scratch_.take(slots_ * h) : leaving;
    const Slice returning = between(dpermuted, leaving);
    const After scattered =
        scatter(leaving, returning, sort(Order::by_sender, ddispatched, leaving, done));
    const After returned = exchange(Way::combine, returning, dpermuted, scattered);
    if (stage_.sequence_parallel()) {
        down_weight_gradients(dprocessed);
    }
    up_weight_gradients();
    const Slice through_experts = scratch_.take(tokens_ * h);
    block_.elementwise(
        ElementwiseKind::permute_backward, tokens_, h, {dpermuted}, {through_experts}, returned);
    const Slice routed = shape_.shared_ffn == 0 ? dx.own : scratch_.take(tokens_ * h);
    block_.elementwise(
        ElementwiseKind::residual_add, tokens_, h, {through_experts, through_router}, {routed});
    add_shared(routed, shared, dx.own);
}

void ExpertMlp::add_shared(const Slice& routed, const Beside& shared, const Slice& sum) {
    if (shape_.shared_ffn > 0) {
        block_.elementwise(ElementwiseKind::residual_add,
                           tokens_,
                           shape_.hidden,
                           {routed, shared.result},
                           {sum},
                           shared.ready);
    }
}

/// All of the rows that travel; without expert parallelism they are where they should be.
After ExpertMlp::exchange(Way way, const Slice& in, const Slice& out, const After& after) {
    if (!stage_.ep) {
        return after;
    }
    Collective op{.kind = CollectiveKind::all_to_all,
                  .group = *stage_.ep,
                  .input = in,
                  .output = out,
                  .dtype = stage_.storage};
    if (!stage_.routes.equal_parts()) {
        const std::int64_t own = stage_.routes.rows_to(stage_.expert_position) * shape_.hidden;
        for (std::int64_t member = 0; member < stage_.routes.members(); ++member) {
            op.sent.push_back(stage_.routes.rows_to(member) * shape_.hidden);
            op.received.push_back(own);
        }
        if (way == Way::combine) {
            op.sent.swap(op.received);
        }
    }
    const After exchanged = block_.communicate(Lane::ep, op, after);
    block_.set_aside(exchanged);
    return exchanged;
}

After ExpertMlp::gather(const Slice& own, const Slice& all, const After& after) {
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

After ExpertMlp::scatter(const Slice& all, const Slice& own, const After& after) {
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

Slice ExpertMlp::between(const Slice& outside, const Slice& inside) {
    if (!stage_.ep) {
        return outside;
    }
    return stage_.sequence_parallel()
               ? scratch_.take(stage_.routes.received(stage_.expert_position) * shape_.hidden)
               : inside;
}

bool ExpertMlp::sorts() const {
    return travels() && shape_.local_experts > 1;
}

After ExpertMlp::sort(Order to, const Slice& from, const Slice& sorted, const After& after) {
    if (!sorts()) {
        return after;
    }
    block_.elementwise(
        ElementwiseKind::concatenate, received_, shape_.hidden, pieces(to, from), {sorted}, after);
    return {};
}

std::vector<Slice> ExpertMlp::pieces(Order to, const Slice& from) const {
    const ExpertRoutes& routes = stage_.routes;
    std::vector<Slice> list;
    const auto add = [&](std::int64_t sender, std::int64_t local) {
        const std::int64_t rows = routes.rows(stage_.expert_position, local);
        const std::int64_t first =
            to == Order::by_expert
                ? sender * routes.rows_to(stage_.expert_position) + rows_before(local)
                : senders_ * rows_before(local) + sender * rows;
        if (rows > 0) {
            list.push_back({.space = from.space,
                            .offset = from.offset + first * shape_.hidden,
                            .elements = rows * shape_.hidden});
        }
    };
    const std::int64_t count = senders_ * shape_.local_experts;
    for (std::int64_t i = 0; i < count; ++i) {
        if (to == Order::by_expert) {
            add(i % senders_, i / senders_);
        } else {
            add(i / shape_.local_experts, i % shape_.local_experts);
        }
    }
    return list;
}

TokenRows ExpertMlp::take_beside(const TokenRows& routed) {
    const Slice own = scratch_.take(tokens_ * shape_.hidden);
    return {.own = own, .all = stage_.sequence_parallel() ? routed.all : own};
}

ExpertMlp::Beside ExpertMlp::shared_forward(const TokenRows& x, const TokenRows& y) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const TokenRows result = take_beside(y);
    block_.column_parallel_forward(shared_up(), x, shared_up_);
    activate(shape_.tokens, shape_.shared_ffn, shared_up_, shared_activated_);
    return {.result = result.own,
            .ready = block_.row_parallel_forward(shared_down(), shared_activated_, result)};
}

ExpertMlp::Beside ExpertMlp::shared_backward(const TokenRows& x,
                                             const TokenRows& dy,
                                             const TokenRows& dx) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const Slice dactivated = scratch_.take(shape_.tokens * shape_.shared_ffn);
    const Slice dup = scratch_.take(shape_.tokens * shape_.shared_up_width);
    const TokenRows result = take_beside(dx);
    block_.row_parallel_backward(shared_down(), shared_activated_, dy, dactivated);
    activate_backward(shape_.tokens, shape_.shared_ffn, {shared_up_, dactivated}, dup);
    return {.result = result.own,
            .ready = block_.column_parallel_backward(shared_up(), x, dup, result)};
}

Slice ExpertMlp::router_backward(const Slice& x, const Slice& dweights) {
    const Slice dlogits = scratch_.take(tokens_ * shape_.experts);
    const Slice dx = scratch_.take(tokens_ * shape_.hidden);
    block_.elementwise(
        ElementwiseKind::router_backward, tokens_, shape_.experts, {logits_, dweights}, {dlogits});
    block_.compute(input_gradient(router(), dlogits, dx));
    block_.compute(weight_gradient(router(), x, dlogits));
    return dx;
}

After ExpertMlp::experts_forward(const Slice& processed, const After& arrived) {
    After after = arrived;
    for_experts([&](std::int64_t local) {
        const Linear up = expert_up(local);
        block_.compute(traindyno::forward(up, rows(dispatched_, local), rows(up_, local)), after);
        after.clear();
    });
    activate(received_, shape_.expert_ffn, up_, activated_);
    for_experts([&](std::int64_t local) {
        block_.compute(traindyno::forward(
            expert_down(local), rows(activated_, local), rows(processed, local)));
    });
    return stage_.sequence_parallel() ? After{} : block_.all_reduce_over_tp(processed);
}

/// Gradients of the down projections' weights are computed while those of the inputs are summed
/// over the tensor group, those of the up projections while they travel; with sequence parallelism
/// both while they are scattered and travel.
After ExpertMlp::experts_backward(const Slice& dprocessed,
                                  const Slice& ddispatched,
                                  const After& arrived) {
    const Slice dactivated = scratch_.take(received_ * shape_.expert_ffn);
    dup_ = scratch_.take(received_ * shape_.expert_up_width);
    After after = arrived;
    for_experts([&](std::int64_t local) {
        block_.compute(
            input_gradient(expert_down(local), rows(dprocessed, local), rows(dactivated, local)),
            after);
        after.clear();
    });
    activate_backward(received_, shape_.expert_ffn, {up_, dactivated}, dup_);
    for_experts([&](std::int64_t local) {
        block_.compute(
            input_gradient(expert_up(local), rows(dup_, local), rows(ddispatched, local)));
    });
    if (stage_.sequence_parallel()) {
        return {};
    }
    After reduced = block_.all_reduce_over_tp(ddispatched);
    down_weight_gradients(dprocessed);
    return reduced;
}

void ExpertMlp::down_weight_gradients(const Slice& dprocessed) {
    for_experts([&](std::int64_t local) {
        block_.compute(
            weight_gradient(expert_down(local), rows(activated_, local), rows(dprocessed, local)));
    });
}

void ExpertMlp::up_weight_gradients() {
    for_experts([&](std::int64_t local) {
        block_.compute(
            weight_gradient(expert_up(local), rows(dispatched_, local), rows(dup_, local)));
    });
}

void ExpertMlp::activate(std::int64_t rows,
                         std::int64_t columns,
                         const Slice& up,
                         const Slice& activated) {
    block_.elementwise(
        stage_.mlp == Mlp::swiglu ? ElementwiseKind::swiglu_forward : ElementwiseKind::gelu_forward,
        rows,
        columns,
        {up},
        {activated});
}

void ExpertMlp::activate_backward(std::int64_t rows,
                                  std::int64_t columns,
                                  const std::vector<Slice>& reads,
                                  const Slice& dup) {
    block_.elementwise(stage_.mlp == Mlp::swiglu ? ElementwiseKind::swiglu_backward
                                                 : ElementwiseKind::gelu_backward,
                       rows,
                       columns,
                       reads,
                       {dup});
}

Linear ExpertMlp::router() const {
    return {
        .tokens = tokens_, .in = shape_.hidden, .out = shape_.experts, .weight = weights_.router};
}

BiasedLinear ExpertMlp::shared_up() const {
    return {.linear = {.tokens = shape_.tokens,
                       .in = shape_.hidden,
                       .out = shape_.shared_up_width,
                       .weight = weights_.shared_up},
            .bias = {}};
}

BiasedLinear ExpertMlp::shared_down() const {
    return {.linear = {.tokens = shape_.tokens,
                       .in = shape_.shared_ffn,
                       .out = shape_.hidden,
                       .weight = weights_.shared_down},
            .bias = {}};
}

Linear ExpertMlp::expert_up(std::int64_t local) const {
    return {.tokens = rows_of(local),
            .in = shape_.hidden,
            .out = shape_.expert_up_width,
            .weight = weights_.experts[static_cast<std::size_t>(local)].up};
}

Linear ExpertMlp::expert_down(std::int64_t local) const {
    return {.tokens = rows_of(local),
            .in = shape_.expert_ffn,
            .out = shape_.hidden,
            .weight = weights_.experts[static_cast<std::size_t>(local)].down};
}

std::int64_t ExpertMlp::rows_of(std::int64_t local) const {
    return senders_ * stage_.routes.rows(stage_.expert_position, local);
}

std::int64_t ExpertMlp::rows_before(std::int64_t local) const {
    std::int64_t before = 0;
    for (std::int64_t earlier = 0; earlier < local; ++earlier) {
        before += stage_.routes.rows(stage_.expert_position, earlier);
    }
    return before;
}

Slice ExpertMlp::rows(const Slice& all, std::int64_t local) const {
    const std::int64_t columns = all.elements / received_;
    return {.space = all.space,
            .offset = all.offset + senders_ * rows_before(local) * columns,
            .elements = rows_of(local) * columns};
}

}  // namespace traindyno
