// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/expert_mlp.hpp"

namespace traindyno {

namespace {

/// Every tensor rank has all tokens.
TokenRows uncut(const Slice& rows) {
    return {.own = rows, .all = rows};
}

}  // namespace

ExpertMlp::ExpertMlp(const StageContext& stage, BlockWriter& block, Arena& kept, Arena& scratch)
    : stage_(stage),
      shape_(stage.shape),
      weights_(stage.parameters.expert_layer),
      block_(block),
      scratch_(scratch),
      slots_(stage.routes.sent()),
      received_(stage.routes.received(stage.expert_position)) {
    logits_ = kept.take(shape_.tokens * shape_.experts);
    routing_weights_ = kept.take(shape_.tokens * shape_.top_k);
    dispatched_ = kept.take(received_ * shape_.hidden);
    up_ = kept.take(received_ * shape_.expert_up_width);
    activated_ = kept.take(received_ * shape_.expert_ffn);
    combined_ = kept.take(slots_ * shape_.hidden);
    shared_up_ = kept.take(shape_.tokens * shape_.shared_up_width);
    shared_activated_ = kept.take(shape_.tokens * shape_.shared_ffn);
}

void ExpertMlp::forward(const Slice& x, const Slice& y) {
    const std::int64_t h = shape_.hidden;
    block_.compute(traindyno::forward(router(), x, logits_));
    block_.elementwise(ElementwiseKind::router_forward,
                       shape_.tokens,
                       shape_.experts,
                       {logits_},
                       {routing_weights_});
    const Slice permuted = stage_.ep ? scratch_.take(slots_ * h) : dispatched_;
    block_.elementwise(ElementwiseKind::permute_forward, shape_.tokens, h, {x}, {permuted});
    const Slice landing = sorts() ? scratch_.take(received_ * h) : dispatched_;
    const After arrived = exchange(Way::dispatch, permuted, landing, {});
    const Beside shared = shared_forward(x);
    const Slice processed = stage_.ep ? scratch_.take(received_ * h) : combined_;
    const After done =
        experts_forward(processed, sort(Order::by_expert, landing, dispatched_, arrived));
    const Slice leaving = sorts() ? scratch_.take(received_ * h) : processed;
    const After combined = exchange(
        Way::combine, leaving, combined_, sort(Order::by_sender, processed, leaving, done));
    const bool alone = shape_.shared_ffn == 0;
    const Slice routed = alone ? y : scratch_.take(shape_.tokens * h);
    block_.elementwise(ElementwiseKind::unpermute_forward,
                       shape_.tokens,
                       h,
                       {combined_, routing_weights_},
                       {routed},
                       combined);
    if (!alone) {
        block_.elementwise(ElementwiseKind::residual_add,
                           shape_.tokens,
                           h,
                           {routed, shared.result},
                           {y},
                           shared.ready);
    }
}

void ExpertMlp::backward(const Slice& x, const Slice& dy, const Slice& dx) {
    const std::int64_t h = shape_.hidden;
    const Slice dcombined = scratch_.take(slots_ * h);
    const Slice dweights = scratch_.take(shape_.tokens * shape_.top_k);
    block_.elementwise(ElementwiseKind::unpermute_backward,
                       shape_.tokens,
                       h,
                       {dy, combined_, routing_weights_},
                       {dcombined, dweights});
    const Slice dprocessed = stage_.ep ? scratch_.take(received_ * h) : dcombined;
    const Slice landing = sorts() ? scratch_.take(received_ * h) : dprocessed;
    const After arrived = exchange(Way::dispatch, dcombined, landing, {});
    const Slice through_router = router_backward(x, dweights);
    const Beside shared = shared_backward(x, dy);
    const Slice ddispatched = scratch_.take(received_ * h);
    const After done = experts_backward(
        dprocessed, ddispatched, sort(Order::by_expert, landing, dprocessed, arrived));
    const Slice leaving = sorts() ? scratch_.take(received_ * h) : ddispatched;
    const Slice dpermuted = stage_.ep ? scratch_.take(slots_ * h) : leaving;
    const After returned = exchange(
        Way::combine, leaving, dpermuted, sort(Order::by_sender, ddispatched, leaving, done));
    up_weight_gradients();
    const Slice through_experts = scratch_.take(shape_.tokens * h);
    block_.elementwise(ElementwiseKind::permute_backward,
                       shape_.tokens,
                       h,
                       {dpermuted},
                       {through_experts},
                       returned);
    const bool alone = shape_.shared_ffn == 0;
    const Slice routed = alone ? dx : scratch_.take(shape_.tokens * h);
    block_.elementwise(ElementwiseKind::residual_add,
                       shape_.tokens,
                       h,
                       {through_experts, through_router},
                       {routed});
    if (!alone) {
        block_.elementwise(ElementwiseKind::residual_add,
                           shape_.tokens,
                           h,
                           {routed, shared.result},
                           {dx},
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
    return block_.communicate(Lane::ep, op, after);
}

bool ExpertMlp::sorts() const {
    return stage_.ep && shape_.local_experts > 1;
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
    const std::int64_t senders = routes.members();
    std::vector<Slice> list;
    const auto add = [&](std::int64_t sender, std::int64_t local) {
        const std::int64_t rows = routes.rows(stage_.expert_position, local);
        const std::int64_t first =
            to == Order::by_expert
                ? sender * routes.rows_to(stage_.expert_position) + rows_before(local)
                : senders * rows_before(local) + sender * rows;
        if (rows > 0) {
            list.push_back({.space = from.space,
                            .offset = from.offset + first * shape_.hidden,
                            .elements = rows * shape_.hidden});
        }
    };
    const std::int64_t count = senders * shape_.local_experts;
    for (std::int64_t i = 0; i < count; ++i) {
        if (to == Order::by_expert) {
            add(i % senders, i / senders);
        } else {
            add(i / shape_.local_experts, i % shape_.local_experts);
        }
    }
    return list;
}

ExpertMlp::Beside ExpertMlp::shared_forward(const Slice& x) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const Slice y = scratch_.take(shape_.tokens * shape_.hidden);
    block_.column_parallel_forward(shared_up(), uncut(x), shared_up_);
    activate(shape_.tokens, shape_.shared_ffn, shared_up_, shared_activated_);
    return {.result = y,
            .ready = block_.row_parallel_forward(shared_down(), shared_activated_, uncut(y))};
}

ExpertMlp::Beside ExpertMlp::shared_backward(const Slice& x, const Slice& dy) {
    if (shape_.shared_ffn == 0) {
        return {};
    }
    const Slice dactivated = scratch_.take(shape_.tokens * shape_.shared_ffn);
    const Slice dup = scratch_.take(shape_.tokens * shape_.shared_up_width);
    const Slice dx = scratch_.take(shape_.tokens * shape_.hidden);
    block_.row_parallel_backward(shared_down(), shared_activated_, uncut(dy), dactivated);
    activate_backward(shape_.tokens, shape_.shared_ffn, {shared_up_, dactivated}, dup);
    return {.result = dx,
            .ready = block_.column_parallel_backward(shared_up(), uncut(x), dup, uncut(dx))};
}

Slice ExpertMlp::router_backward(const Slice& x, const Slice& dweights) {
    const Slice dlogits = scratch_.take(shape_.tokens * shape_.experts);
    const Slice dx = scratch_.take(shape_.tokens * shape_.hidden);
    block_.elementwise(ElementwiseKind::router_backward,
                       shape_.tokens,
                       shape_.experts,
                       {logits_, dweights},
                       {dlogits});
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
    return block_.all_reduce_over_tp(processed);
}

/// Gradients of the down projections' weights are computed while those of the inputs are summed
/// over the tensor group, those of the up projections while they travel.
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
    After reduced = block_.all_reduce_over_tp(ddispatched);
    for_experts([&](std::int64_t local) {
        block_.compute(
            weight_gradient(expert_down(local), rows(activated_, local), rows(dprocessed, local)));
    });
    return reduced;
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
    return {.tokens = shape_.tokens,
            .in = shape_.hidden,
            .out = shape_.experts,
            .weight = weights_.router};
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
    return stage_.routes.members() * stage_.routes.rows(stage_.expert_position, local);
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
            .offset = all.offset + stage_.routes.members() * rows_before(local) * columns,
            .elements = rows_of(local) * columns};
}

}  // namespace traindyno
