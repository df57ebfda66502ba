// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/arrivals.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "collectives/patient_wait.hpp"
#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

using Times = std::vector<std::int64_t>;

/// Operations of one kind whose arrival times travel together.
struct Channel {
    std::vector<OpIndex> ops;  ///< in the order all members agree on
    GroupRank peer;            ///< point-to-point only
};

/// A tag beyond any that programs use: they count boundaries, directions and micro-batches from 0.
constexpr std::int32_t arrival_tag = 1 << 20;

constexpr SimTime timeout = std::chrono::seconds{120};

void finish(Pending pending) {
    wait_patiently(pending, {.timeout = timeout});
}

std::span<std::byte> bytes(Times& times) {
    return std::as_writable_bytes(std::span(times));
}

Times gather(const Channel& channel, std::span<const StepTrace> steps) {
    Times times;
    for (const StepTrace& step : steps) {
        for (const OpIndex index : channel.ops) {
            times.push_back(step.spans[index].begin.count());
        }
    }
    return times;
}

class ArrivalExchange {
  public:
    ArrivalExchange(const IssueOrder& order,
                    std::span<const StepTrace> steps,
                    const GroupCommunicators& communicators)
        : order_(order), steps_(steps), communicators_(communicators) {
        arrivals_.assign(steps.size(), std::vector<Arrival>(order.ops().size()));
        for (OpIndex index = 0; index < order.ops().size(); ++index) {
            if (const auto* op = std::get_if<CommOp>(&order.block_op(index).op)) {
                sort_in(index, *op);
            }
        }
    }

    std::vector<std::vector<Arrival>> run() {
        for (auto& [group, channel] : collectives_) {
            exchange_with_group(channel, *communicators_[group.index()]);
        }
        exchange_with_peers();
        return std::move(arrivals_);
    }

  private:
    void sort_in(OpIndex index, const CommOp& op) {
        const Lane lane = order_.ops()[index].lane;
        std::visit(Overloaded{[&](const Collective& collective) {
                                  collectives_[collective.group].ops.push_back(index);
                              },
                              [&](const auto& transfer) {
                                  auto& channel = transfers_[{transfer.group, lane}];
                                  channel.peer = transfer.peer;
                                  channel.ops.push_back(index);
                              }},
                   op);
    }

    [[nodiscard]] std::int32_t tag_of(OpIndex index) const {
        const auto& op = std::get<CommOp>(order_.block_op(index).op);
        const std::int32_t tag =
            std::visit(Overloaded{[](const Collective&) { return 0; },
                                  [](const auto& transfer) { return transfer.tag; }},
                       op);
        return tag + order_.task_of(index).tag_base;
    }

    void exchange_with_group(const Channel& channel, Communicator& group) {
        const Times own = gather(channel, steps_);
        // One maximum serves both ends: the earliest is minus the maximum of the negated times.
        Times both = own;
        both.reserve(2 * own.size());
        for (const std::int64_t time : own) {
            both.push_back(-time);
        }
        finish(group.all_reduce(
            bytes(both), bytes(both), DType::int64, Reduction::max, Urgency::background));
        for (std::size_t i = 0; i < own.size(); ++i) {
            set(channel,
                i,
                {.earliest = SimTime{-both[own.size() + i]}, .latest = SimTime{both[i]}});
        }
    }

    void exchange_with_peers() {
        struct Transfer {
            Times own;
            Times theirs;
            Pending send;
            Pending recv;
        };

        std::map<std::pair<GroupId, Lane>, Transfer> running;
        for (auto& [key, channel] : transfers_) {
            std::sort(channel.ops.begin(), channel.ops.end(), [&](OpIndex a, OpIndex b) {
                return tag_of(a) < tag_of(b);
            });
            Transfer& transfer = running[key];
            transfer.own = gather(channel, steps_);
            transfer.theirs.resize(transfer.own.size());
            Communicator& group = *communicators_[key.first.index()];
            // Both ends of a lane see the same smallest tag: it tells the lanes of a pair apart.
            const std::int32_t tag = arrival_tag + tag_of(channel.ops.front());
            transfer.recv = group.recv(bytes(transfer.theirs), channel.peer, tag);
            transfer.send = group.send(bytes(transfer.own), channel.peer, tag);
        }
        for (auto& [key, transfer] : running) {
            finish(std::move(transfer.recv));
            finish(std::move(transfer.send));
            for (std::size_t i = 0; i < transfer.own.size(); ++i) {
                const auto [low, high] = std::minmax(transfer.own[i], transfer.theirs[i]);
                set(transfers_[key], i, {.earliest = SimTime{low}, .latest = SimTime{high}});
            }
        }
    }

    void set(const Channel& channel, std::size_t position, const Arrival& arrival) {
        arrivals_[position / channel.ops.size()][channel.ops[position % channel.ops.size()]] =
            arrival;
    }

    const IssueOrder& order_;
    std::span<const StepTrace> steps_;
    const GroupCommunicators& communicators_;
    std::map<GroupId, Channel> collectives_;
    std::map<std::pair<GroupId, Lane>, Channel> transfers_;
    std::vector<std::vector<Arrival>> arrivals_;
};

}  // namespace

std::vector<std::vector<Arrival>> exchange_arrivals(const IssueOrder& order,
                                                    std::span<StepTrace> steps,
                                                    const GroupCommunicators& communicators,
                                                    const ClockSync& clock) {
    for (StepTrace& step : steps) {
        step.begin = clock.to_common(step.begin);
        step.end = clock.to_common(step.end);
        for (Span& span : step.spans) {
            span = {.begin = clock.to_common(span.begin), .end = clock.to_common(span.end)};
        }
    }
    return ArrivalExchange(order, steps, communicators).run();
}

}  // namespace traindyno
