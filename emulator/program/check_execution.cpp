// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "emulator/base/overloaded.hpp"
#include "emulator/program/issue_order.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

namespace {

/// The head of a lane that has arrived at a communication.
struct Arrival {
    std::size_t rank = 0;
    Lane lane = Lane::compute;
};

struct LaneState {
    std::size_t next = 0;
    bool arrived = false;  ///< the communication at `next` waits for its peers
};

class Rank {
  public:
    explicit Rank(const StepProgram& program)
        : order_(program), done_(order_.ops().size()), remaining_(done_.size()) {}

    [[nodiscard]] const IssueOrder& order() const { return order_; }

    [[nodiscard]] bool finished() const { return remaining_ == 0; }

    [[nodiscard]] LaneState& lane(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }

    [[nodiscard]] std::optional<OpIndex> head(Lane lane) const {
        const LaneState& state = lanes_[static_cast<std::size_t>(lane)];
        const std::span<const OpIndex> queue = order_.lane(lane);
        return state.next < queue.size() ? std::optional(queue[state.next]) : std::nullopt;
    }

    /// An operation that `index` still waits for.
    [[nodiscard]] std::optional<OpIndex> missing(OpIndex index) const {
        std::optional<OpIndex> first;
        order_.for_each_dependency(index, [&](OpIndex earlier) {
            if (!first && done_[earlier] == 0) {
                first = earlier;
            }
        });
        return first;
    }

    void complete_head(Lane which) {
        done_[*head(which)] = 1;
        --remaining_;
        lane(which) = {.next = lane(which).next + 1, .arrived = false};
    }

  private:
    IssueOrder order_;
    std::vector<std::uint8_t> done_;
    std::size_t remaining_;
    std::array<LaneState, enum_count<Lane>> lanes_{};
};

class Execution {
  public:
    Execution(std::span<const StepProgram> programs, const GroupIndex& groups)
        : groups_(groups), at_collective_(groups.groups.size()), queued_(programs.size()) {
        ranks_.reserve(programs.size());
        for (std::size_t rank = 0; rank < programs.size(); ++rank) {
            ranks_.emplace_back(programs[rank]);
            wake(rank);
        }
    }

    void run() {
        while (!awake_.empty()) {
            const std::size_t rank = awake_.front();
            awake_.pop_front();
            queued_[rank] = 0;
            advance(rank);
        }
    }

    void report(Findings& findings) {
        std::size_t stuck = 0;
        for (const Rank& rank : ranks_) {
            if (!rank.finished()) {
                ++stuck;
            }
        }
        if (stuck == 0) {
            return;
        }
        findings.add(fmt::format("deadlock: {} of {} ranks cannot finish", stuck, ranks_.size()));
        for (Rank& rank : ranks_) {
            for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
                report_head(rank, static_cast<Lane>(lane), findings);
            }
        }
    }

  private:
    void wake(std::size_t rank) {
        if (queued_[rank] == 0) {
            queued_[rank] = 1;
            awake_.push_back(rank);
        }
    }

    void advance(std::size_t rank) {
        for (std::size_t i = 0; i < enum_count<Lane>; ++i) {
            const auto lane = static_cast<Lane>(i);
            Rank& at = ranks_[rank];
            for (auto head = at.head(lane); head && !at.lane(lane).arrived && !at.missing(*head);
                 head = at.head(lane)) {
                start({.rank = rank, .lane = lane}, *head);
            }
        }
    }

    void start(const Arrival& arrival, OpIndex index) {
        Rank& rank = ranks_[arrival.rank];
        const Op& op = rank.order().block_op(index).op;
        if (std::holds_alternative<ComputeOp>(op)) {
            complete(arrival);
            return;
        }
        rank.lane(arrival.lane).arrived = true;
        std::visit(
            Overloaded{[&](const Collective& collective) { arrive(arrival, collective); },
                       [&](const Send& send) { meet(arrival, index, send, sends_, recvs_); },
                       [&](const Recv& recv) { meet(arrival, index, recv, recvs_, sends_); }},
            std::get<CommOp>(op));
    }

    void complete(const Arrival& arrival) {
        ranks_[arrival.rank].complete_head(arrival.lane);
        wake(arrival.rank);
    }

    void arrive(const Arrival& arrival, const Collective& op) {
        const std::uint32_t group = groups_.of_program[arrival.rank][op.group.index()];
        std::vector<Arrival>& present = at_collective_[group];
        present.push_back(arrival);
        if (static_cast<std::int64_t>(present.size()) == groups_.groups[group]->size()) {
            const std::vector<Arrival> all = std::move(present);
            present.clear();
            for (const Arrival& member : all) {
                complete(member);
            }
        }
    }

    /// Group, ranks in ascending order of role (sender, receiver), tag.
    using Route = std::tuple<std::uint32_t, std::int64_t, std::int64_t, std::int64_t>;
    using Waiting = std::map<Route, std::deque<Arrival>>;

    template <class Message>
    void meet(
        const Arrival& arrival, OpIndex index, const Message& op, Waiting& own, Waiting& other) {
        const IssueOrder& order = ranks_[arrival.rank].order();
        const std::uint32_t group = groups_.of_program[arrival.rank][op.group.index()];
        const auto here = static_cast<std::int64_t>(arrival.rank);
        const std::int64_t peer = groups_.groups[group]->members[op.peer.index()].value();
        const bool sends = std::is_same_v<Message, Send>;
        const Route route{group,
                          sends ? here : peer,
                          sends ? peer : here,
                          std::int64_t{op.tag} + order.task_of(index).tag_base};
        const auto partner = other.find(route);
        if (partner == other.end()) {
            own[route].push_back(arrival);
            return;
        }
        const Arrival met = partner->second.front();
        partner->second.pop_front();
        if (partner->second.empty()) {
            other.erase(partner);
        }
        complete(met);
        complete(arrival);
    }

    static void report_head(Rank& rank, Lane lane, Findings& findings) {
        const auto head = rank.head(lane);
        if (!head) {
            return;
        }
        const StepProgram& program = rank.order().program();
        const IssuedOp& op = rank.order().ops()[*head];
        std::string text = place_of(program, op.task, op.in_block);
        if (const auto* communication = std::get_if<CommOp>(&rank.order().block_op(*head).op)) {
            text += fmt::format(", {},", description_of(program, *communication));
        }
        if (rank.lane(lane).arrived) {
            text += " waits for its peers";
        } else if (const auto earlier = rank.missing(*head)) {
            const IssuedOp& cause = rank.order().ops()[*earlier];
            text += fmt::format(" waits for task {} op {}", cause.task.value(), cause.in_block);
        }
        findings.add(std::move(text));
    }

    const GroupIndex& groups_;
    std::vector<Rank> ranks_;
    std::vector<std::vector<Arrival>> at_collective_;  ///< per group
    Waiting sends_;
    Waiting recvs_;
    std::deque<std::size_t> awake_;
    std::vector<std::uint8_t> queued_;
};

}  // namespace

void check_execution(std::span<const StepProgram> programs,
                     const GroupIndex& groups,
                     Findings& findings) {
    Execution execution(programs, groups);
    execution.run();
    execution.report(findings);
}

}  // namespace traindyno
