// SPDX-License-Identifier: Apache-2.0
#include "tests/property/job_network.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <tuple>

#include <fmt/format.h>

#include "collectives/arguments.hpp"
#include "collectives/reduce/reduce.hpp"
#include "emulator/base/error.hpp"

namespace traindyno::test {

/// What one member brings.
struct JobNetwork::Call {
    CollectiveOp op = CollectiveOp::all_reduce;
    std::span<const std::byte> in{};
    std::span<std::byte> out{};
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;
    Urgency urgency = Urgency::background;
    std::vector<PartRange> sent{};
    std::vector<PartRange> received{};

    [[nodiscard]] std::string text() const {
        return fmt::format("{} of {} bytes to {} bytes, {} {}, {}",
                           to_string(op),
                           in.size(),
                           out.size(),
                           to_string(type),
                           to_string(reduction),
                           urgency == Urgency::immediate ? "immediate" : "background");
    }
};

/// The n-th collective of a group, or a message.
struct JobNetwork::Meeting {
    std::vector<Call> calls;  ///< by member
    std::int64_t missing = 0;
    bool over = false;
    std::vector<InFlight*> waiting{};  ///< until it is over

    void end() {
        over = true;
        for (InFlight* rank : waiting) {
            ++rank->over;
        }
    }
};

struct JobNetwork::GroupState {
    using Route = std::tuple<std::int64_t, std::int64_t, std::int32_t>;  // sender, receiver, tag

    /// The half of messages that came first, in order.
    struct Channel {
        std::deque<std::shared_ptr<Meeting>> sends;
        std::deque<std::shared_ptr<Meeting>> receives;
    };

    std::int64_t size = 0;
    std::vector<std::size_t> next;  ///< by member: of its next collective
    std::vector<std::shared_ptr<Meeting>> collectives;
    std::map<Route, Channel> messages;
};

namespace {

std::span<const std::byte> part(std::span<const std::byte> whole, const PartRange& range) {
    return whole.subspan(static_cast<std::size_t>(range.begin),
                         static_cast<std::size_t>(range.size));
}

void copy_to(std::span<const std::byte> from, std::span<std::byte> to) {
    if (from.size() != to.size()) {
        throw std::runtime_error(
            fmt::format("{} bytes are sent, {} expected", from.size(), to.size()));
    }
    std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

/// A look at whether a meeting is over.
class JobNetwork::Operation final : public Pending::Operation {
  public:
    Operation(JobNetwork& network,
              std::shared_ptr<const Meeting> meeting,
              InFlight& rank,
              std::uint64_t looks)
        : network_(network), meeting_(std::move(meeting)), rank_(rank), looks_(looks) {}

    [[nodiscard]] bool advance() override {
        if (meeting_->over && looks_-- == 0) {
            --rank_.operations;
            --rank_.over;
            rank_.looks = 0;
            return true;
        }
        network_.look(rank_);
        return false;
    }

  private:
    JobNetwork& network_;
    std::shared_ptr<const Meeting> meeting_;
    InFlight& rank_;
    std::uint64_t looks_;
};

class JobNetwork::Member final : public Communicator {
  public:
    Member(JobNetwork& network,
           std::shared_ptr<GroupState> group,
           GroupRank rank,
           InFlight& in_flight)
        : network_(network), group_(std::move(group)), rank_(rank), in_flight_(in_flight) {}

    [[nodiscard]] GroupRank rank() const override { return rank_; }

    [[nodiscard]] std::int64_t size() const override { return group_->size; }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        (void)check_all_reduce(in, out, type);
        return meet({CollectiveOp::all_reduce, in, out, type, reduction, urgency});
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        (void)check_reduce_scatter(in, out, type, *this);
        return meet({CollectiveOp::reduce_scatter, in, out, type, reduction, urgency});
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        (void)check_all_gather(in, out, *this);
        return meet({CollectiveOp::all_gather, in, out, DType::fp32, Reduction::sum, urgency});
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        check_all_to_all(in, out, parts, *this);
        return meet({CollectiveOp::all_to_all,
                     in,
                     out,
                     DType::fp32,
                     Reduction::sum,
                     urgency,
                     part_ranges(parts.sent, in.size(), size()),
                     part_ranges(parts.received, out.size(), size())});
    }

    Pending broadcast(std::span<std::byte> /*buffer*/,
                      GroupRank /*root*/,
                      Urgency /*urgency*/) override {
        TD_EXPECT(!"programs do not broadcast");
        return {};
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        GroupState::Channel& channel = group_->messages[{rank_.value(), peer.value(), tag}];
        if (channel.receives.empty()) {
            return waiting_in(channel.sends, {.in = buffer});
        }
        const auto receive = taken_from(channel.receives);
        copy_to(buffer, receive->calls.front().out);
        return network_.pending(receive, in_flight_);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        GroupState::Channel& channel = group_->messages[{peer.value(), rank_.value(), tag}];
        if (channel.sends.empty()) {
            return waiting_in(channel.receives, {.out = buffer});
        }
        const auto send = taken_from(channel.sends);
        copy_to(send->calls.front().in, buffer);
        return network_.pending(send, in_flight_);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t /*color*/,
                                                      std::int32_t /*key*/) override {
        TD_EXPECT(!"groups are joined");
        return nullptr;
    }

    void abort(int /*exit_code*/, std::string_view /*reason*/) noexcept override {}

  private:
    Pending waiting_in(std::deque<std::shared_ptr<Meeting>>& posted, Call call) {
        posted.push_back(
            std::make_shared<Meeting>(Meeting{.calls = {std::move(call)}, .missing = 1}));
        return network_.pending(posted.back(), in_flight_);
    }

    static std::shared_ptr<Meeting> taken_from(std::deque<std::shared_ptr<Meeting>>& posted) {
        std::shared_ptr<Meeting> first = posted.front();
        posted.pop_front();
        first->end();
        return first;
    }

    Pending meet(Call call) {
        const std::size_t number = group_->next[rank_.index()]++;
        if (number == group_->collectives.size()) {
            group_->collectives.push_back(std::make_shared<Meeting>(
                Meeting{.calls = std::vector<Call>(group_->next.size()), .missing = size()}));
        }
        const std::shared_ptr<Meeting>& meeting = group_->collectives[number];
        meeting->calls[rank_.index()] = std::move(call);
        if (--meeting->missing == 0) {
            perform(meeting->calls);
            meeting->end();
        }
        return network_.pending(meeting, in_flight_);
    }

    static void perform(const std::vector<Call>& calls);

    JobNetwork& network_;
    std::shared_ptr<GroupState> group_;
    GroupRank rank_;
    InFlight& in_flight_;
};

/// As if the members had carried it out themselves.
void JobNetwork::Member::perform(const std::vector<Call>& calls) {
    const Call& first = calls.front();
    const bool exchange = first.op == CollectiveOp::all_to_all;
    std::vector<std::vector<std::byte>> copies;
    std::vector<const std::byte*> inputs;
    for (const Call& call : calls) {
        // Parts of exchanges may differ, and with them what each sends.
        if (exchange ? call.op != first.op || call.urgency != first.urgency
                     : call.text() != first.text()) {
            throw std::runtime_error(
                fmt::format("members of one group call {} and {}", first.text(), call.text()));
        }
        copies.emplace_back(call.in.begin(), call.in.end());
    }
    std::transform(copies.begin(), copies.end(), std::back_inserter(inputs), [](const auto& copy) {
        return copy.data();
    });
    std::vector<std::byte> reduced(first.in.size());
    if (first.op == CollectiveOp::all_reduce || first.op == CollectiveOp::reduce_scatter) {
        std::byte* output = reduced.data();
        reduce(inputs,
               {&output, 1},
               reduced.size(),
               {.type = first.type,
                .reduction = first.reduction,
                .members = static_cast<std::int64_t>(calls.size())},
               Stores::cached);
    }
    for (std::size_t to = 0; to < calls.size(); ++to) {
        const Call& call = calls[to];
        if (first.op == CollectiveOp::all_reduce) {
            copy_to(reduced, call.out);
        } else if (first.op == CollectiveOp::reduce_scatter) {
            copy_to(std::span(reduced).subspan(to * call.out.size(), call.out.size()), call.out);
        } else {
            for (std::size_t from = 0; from < calls.size(); ++from) {
                const std::size_t equal = first.in.size();
                if (exchange) {
                    const PartRange& into = call.received[from];
                    copy_to(part(copies[from], calls[from].sent[to]),
                            call.out.subspan(static_cast<std::size_t>(into.begin),
                                             static_cast<std::size_t>(into.size)));
                } else {
                    copy_to(copies[from], call.out.subspan(from * equal, equal));
                }
            }
        }
    }
}

JobNetwork::JobNetwork(std::uint64_t seed, Wait wait) : random_(seed), wait_(std::move(wait)) {}

std::unique_ptr<Communicator> JobNetwork::join(const Group& group, WorldRank rank) {
    std::shared_ptr<GroupState>& state = groups_[{group.kind, group.members}];
    if (!state) {
        state = std::make_shared<GroupState>();
        state->size = group.size();
        state->next.resize(group.members.size());
    }
    return std::make_unique<Member>(*this, state, group.rank_of(rank), in_flight_[rank]);
}

Pending JobNetwork::pending(const std::shared_ptr<Meeting>& meeting, InFlight& rank) {
    constexpr std::uint64_t most_looks = 4;
    if (meeting->over) {
        ++rank.over;
    } else {
        meeting->waiting.push_back(&rank);
    }
    ++rank.operations;
    rank.looks = 0;
    return Pending{std::make_unique<Operation>(*this, meeting, rank, random_() % most_looks)};
}

/// A rank that has looked at all of its operations several times has also issued all that it can,
/// since compute takes no time: it waits for others. One that has not gives up its turn now and
/// then.
void JobNetwork::look(InFlight& rank) {
    constexpr std::int64_t enough_looks = 3;
    if (rank.over == 0 && ++rank.looks > enough_looks * rank.operations) {
        wait_([&rank] { return rank.over > 0; });
    } else if (random_() % 4 == 0) {
        wait_([] { return true; });
    }
}

}  // namespace traindyno::test
