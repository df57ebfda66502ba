// SPDX-License-Identifier: Apache-2.0
#include "emulator/trace/account.hpp"

#include <algorithm>
#include <optional>
#include <variant>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

Category category_of(Phase phase) {
    switch (phase) {
        case Phase::forward:
            return Category::compute_forward;
        case Phase::backward:
        case Phase::weights:
            return Category::compute_backward;
        case Phase::recompute:
            return Category::compute_recompute;
        case Phase::optimizer:
            return Category::compute_optimizer;
    }
    return Category::residual;
}

bool is_communication(const IssueOrder& order, OpIndex index) {
    return order.ops()[index].lane != Lane::compute;
}

/// One step being accounted for.
class Accountant {
  public:
    Accountant(const IssueOrder& order,
               const StepTrace& step,
               std::span<const Arrival> arrivals,
               std::span<const SimTime> reference)
        : order_(order), step_(step), arrivals_(arrivals), reference_(reference) {
        index_lane_predecessors();
        index_communication_intervals();
    }

    Budget run() {
        SimTime clock = step_.begin;
        for (const OpIndex index : order_.lane(Lane::compute)) {
            const Span& span = step_.spans[index];
            idle(clock, span.begin, last_awaited(index));
            book_compute(index);
            clock = std::max(clock, span.end);
        }
        idle(clock, step_.end, last_to_finish());
        settle_slowdown();
        budget_[Category::residual] += to_seconds(step_.length()) - budget_.total();
        return budget_;
    }

  private:
    void index_lane_predecessors() {
        lane_predecessor_.resize(order_.ops().size());
        for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
            std::optional<OpIndex> previous;
            for (const OpIndex index : order_.lane(static_cast<Lane>(lane))) {
                lane_predecessor_[index] = previous;
                previous = index;
            }
        }
    }

    /// Union of all communication spans, sorted and disjoint.
    void index_communication_intervals() {
        std::vector<Span> spans;
        for (OpIndex index = 0; index < order_.ops().size(); ++index) {
            if (is_communication(order_, index)) {
                spans.push_back(step_.spans[index]);
            }
        }
        std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
            return a.begin < b.begin;
        });
        for (const Span& span : spans) {
            if (!communicating_.empty() && span.begin <= communicating_.back().end) {
                communicating_.back().end = std::max(communicating_.back().end, span.end);
            } else {
                communicating_.push_back(span);
            }
        }
    }

    [[nodiscard]] bool overlaps_communication(const Span& span) const {
        const auto after = std::partition_point(
            communicating_.begin(), communicating_.end(), [&](const Span& candidate) {
                return candidate.end <= span.begin;
            });
        return after != communicating_.end() && after->begin < span.end;
    }

    void book_compute(OpIndex index) {
        const Span& span = step_.spans[index];
        const Category category = category_of(order_.ops()[index].phase);
        budget_[category] += to_seconds(span.length());
        if (!reference_.empty() && overlaps_communication(span)) {
            slowdown_[category] += to_seconds(span.length() - reference_[index]);
        }
    }

    /// Noise makes single operations faster or slower; only a step's sum per phase is meaningful.
    void settle_slowdown() {
        for (const Category category : {Category::compute_forward,
                                        Category::compute_backward,
                                        Category::compute_recompute,
                                        Category::compute_optimizer}) {
            const double slower = std::clamp(slowdown_[category], 0.0, budget_[category]);
            budget_[category] -= slower;
            budget_[Category::compute_slowdown] += slower;
        }
    }

    /// The operation that released `index`: of everything it waited for, what ended last.
    [[nodiscard]] std::optional<OpIndex> last_awaited(OpIndex index) const {
        std::optional<OpIndex> last = lane_predecessor_[index];
        order_.for_each_dependency(index, [&](OpIndex earlier) {
            if (!last || step_.spans[earlier].end > step_.spans[*last].end) {
                last = earlier;
            }
        });
        return last;
    }

    [[nodiscard]] std::optional<OpIndex> last_to_finish() const {
        const auto last = std::max_element(
            step_.spans.begin(), step_.spans.end(), [](const Span& a, const Span& b) {
                return a.end < b.end;
            });
        if (last == step_.spans.end()) {
            return std::nullopt;
        }
        return static_cast<OpIndex>(last - step_.spans.begin());
    }

    void book(Category category, SimTime from, SimTime to) {
        if (to > from) {
            budget_[category] += to_seconds(to - from);
        }
    }

    /// Explains [from, to): `cause` is what the operation after `to` waited for last.
    void idle(SimTime from, SimTime to, std::optional<OpIndex> cause) {
        while (to > from && cause) {
            const Span& span = step_.spans[*cause];
            const SimTime released = std::clamp(span.end, from, to);
            book(Category::launch_gap, released, to);
            if (!is_communication(order_, *cause)) {
                book(Category::launch_gap, from, released);
                return;
            }
            const SimTime posted = std::clamp(span.begin, from, released);
            const SimTime complete_group = std::clamp(arrivals_[*cause].latest, posted, released);
            const GroupKind kind = group_kind(*cause);
            book(exposed(kind), complete_group, released);
            book(wait(kind), posted, complete_group);
            to = posted;
            cause = last_awaited(*cause);
        }
        book(Category::launch_gap, from, to);
    }

    [[nodiscard]] GroupKind group_kind(OpIndex index) const {
        const auto& op = std::get<CommOp>(order_.block_op(index).op);
        return order_.program().groups[group_id(op).index()].kind;
    }

    const IssueOrder& order_;
    const StepTrace& step_;
    std::span<const Arrival> arrivals_;
    std::span<const SimTime> reference_;
    std::vector<std::optional<OpIndex>> lane_predecessor_;
    std::vector<Span> communicating_;
    Budget budget_;
    Budget slowdown_;
};

}  // namespace

Budget account(const IssueOrder& order,
               const StepTrace& step,
               std::span<const Arrival> arrivals,
               std::span<const SimTime> reference) {
    TD_EXPECT(step.spans.size() == order.ops().size());
    TD_EXPECT(arrivals.size() == order.ops().size());
    TD_EXPECT(reference.empty() || reference.size() == order.ops().size());
    return Accountant(order, step, arrivals, reference).run();
}

Budget split_bubble(const Budget& budget, double bubble_seconds) {
    Budget split = budget;
    double left = bubble_seconds;
    for (const GroupKind kind : {GroupKind::pp, GroupKind::embedding, GroupKind::model}) {
        const double moved = std::clamp(split[wait(kind)], 0.0, left);
        split[wait(kind)] -= moved;
        split[Category::bubble] += moved;
        left -= moved;
    }
    return split;
}

}  // namespace traindyno
