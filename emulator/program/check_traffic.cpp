// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "emulator/base/overloaded.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

namespace {

/// An operation of one program.
struct Place {
    TaskId task;
    std::uint32_t op = 0;
};

const CommOp& op_at(const StepProgram& program, const Place& place) {
    const Block& block = program.blocks[program.tasks[place.task.index()].block.index()];
    return std::get<CommOp>(block.ops[place.op].op);
}

std::string text_of(const StepProgram& program, const Place& place) {
    return fmt::format("{} of {}",
                       description_of(program, op_at(program, place)),
                       place_of(program, place.task, place.op));
}

/// One side of a point-to-point transfer.
struct Message {
    std::uint32_t group = 0;  ///< in GroupIndex
    WorldRank from;
    WorldRank to;
    std::int64_t tag = 0;
    bool receive = false;
    Place place;

    [[nodiscard]] auto route() const { return std::tie(group, from, to, tag); }

    [[nodiscard]] WorldRank owner() const { return receive ? to : from; }
};

class TrafficCheck {
  public:
    TrafficCheck(const ProgramSet& set, Findings& findings) : set_(set), findings_(findings) {
        collectives_.resize(set.groups().size());
    }

    void run() {
        for (std::size_t program = 0; program < set_.programs().size(); ++program) {
            collect(program);
        }
        for (const auto& members : collectives_) {
            compare_collectives(members);
        }
        std::stable_sort(
            messages_.begin(), messages_.end(), [](const Message& a, const Message& b) {
                return std::tuple_cat(a.route(), std::tie(a.receive)) <
                       std::tuple_cat(b.route(), std::tie(b.receive));
            });
        pair_messages();
    }

  private:
    using Sequence = std::vector<Place>;

    void collect(std::size_t number) {
        const StepProgram& program = set_.programs()[number];
        std::vector<std::optional<Lane>> lanes(program.groups.size());
        for (std::size_t t = 0; t < program.tasks.size(); ++t) {
            const Block& block = program.blocks[program.tasks[t].block.index()];
            for (std::size_t i = 0; i < block.ops.size(); ++i) {
                if (const auto* op = std::get_if<CommOp>(&block.ops[i].op)) {
                    const Place place{.task = TaskId{static_cast<std::int64_t>(t)},
                                      .op = static_cast<std::uint32_t>(i)};
                    const std::uint32_t group = set_.group_of(number, group_id(*op));
                    if (std::holds_alternative<Collective>(*op)) {
                        if (set_.groups()[group].present > 1) {
                            collectives_[group][program.rank].push_back(place);
                        }
                        std::optional<Lane>& lane = lanes[group_id(*op).index()];
                        lane = lane.value_or(block.ops[i].lane);
                        check_lane(program, place, *lane);
                    } else {
                        messages_.push_back(message_of(program, group, place));
                    }
                }
            }
        }
    }

    void check_lane(const StepProgram& program, const Place& place, Lane first) {
        const Block& block = program.blocks[program.tasks[place.task.index()].block.index()];
        const Lane lane = block.ops[place.op].lane;
        if (lane != first) {
            findings_.add(
                fmt::format("{} is on the {} lane, earlier ones of its group on {} (their "
                            "order is not fixed)",
                            text_of(program, place),
                            to_string(lane),
                            to_string(first)));
        }
    }

    static Message message_of(const StepProgram& program, std::uint32_t group, const Place& place) {
        const CommOp& op = op_at(program, place);
        const Task& task = program.tasks[place.task.index()];
        const std::vector<WorldRank>& members = program.groups[group_id(op).index()].members;
        Message message{.group = group, .from = {}, .to = {}, .place = place};
        const auto route = [&](const auto& exact) {
            message.tag = std::int64_t{exact.tag} + task.tag_base;
            return members[exact.peer.index()];
        };
        if (const auto* send = std::get_if<Send>(&op)) {
            message.from = program.rank;
            message.to = route(*send);
        } else {
            message.receive = true;
            message.from = route(std::get<Recv>(op));
            message.to = program.rank;
        }
        return message;
    }

    void compare_collectives(const std::map<WorldRank, Sequence>& members) {
        if (members.empty()) {
            return;
        }
        const WorldRank any = members.begin()->first;
        const Place& example = members.begin()->second.front();
        const CommOp& op = op_at(program_of(any), example);
        for (const WorldRank member : program_of(any).groups[group_id(op).index()].members) {
            if (!set_.program_of(member)) {
                continue;
            }
            const auto found = members.find(member);
            compare_sequences(any,
                              members.begin()->second,
                              member,
                              found == members.end() ? Sequence{} : found->second);
        }
    }

    void compare_sequences(WorldRank first,
                           const Sequence& wanted,
                           WorldRank second,
                           const Sequence& given) {
        const std::size_t both = std::min(wanted.size(), given.size());
        for (std::size_t i = 0; i < both; ++i) {
            if (!agree({.rank = first, .op = collective_at(first, wanted[i])},
                       {.rank = second, .op = collective_at(second, given[i])})) {
                findings_.add(fmt::format("{} meets {}",
                                          text_of(program_of(first), wanted[i]),
                                          text_of(program_of(second), given[i])));
                return;
            }
        }
        if (wanted.size() > both) {
            findings_.add(fmt::format("{} has no counterpart on rank {}",
                                      text_of(program_of(first), wanted[both]),
                                      second.value()));
        } else if (given.size() > both) {
            findings_.add(fmt::format("{} has no counterpart on rank {}",
                                      text_of(program_of(second), given[both]),
                                      first.value()));
        }
    }

    struct Member {
        WorldRank rank;
        const Collective& op;
    };

    [[nodiscard]] const Collective& collective_at(WorldRank rank, const Place& place) const {
        return std::get<Collective>(op_at(program_of(rank), place));
    }

    /// Sizes of unequal parts must be those that the other member expects, and no others.
    [[nodiscard]] bool agree(const Member& a, const Member& b) const {
        if (a.op.kind != b.op.kind || a.op.dtype != b.op.dtype ||
            a.op.reduction != b.op.reduction || a.op.sent.empty() != b.op.sent.empty()) {
            return false;
        }
        if (a.op.sent.empty()) {
            return a.op.input.elements == b.op.input.elements &&
                   a.op.output.elements == b.op.output.elements;
        }
        const Group& group = program_of(a.rank).groups[a.op.group.index()];
        const std::size_t at_a = group.rank_of(a.rank).index();
        const std::size_t at_b = group.rank_of(b.rank).index();
        return a.op.sent[at_b] == b.op.received[at_a] && b.op.sent[at_a] == a.op.received[at_b];
    }

    /// Messages of one route: sends first, then receives, each in program order.
    void pair_messages() {
        for (auto begin = messages_.begin(); begin != messages_.end();) {
            const auto end = std::find_if(begin, messages_.end(), [&](const Message& message) {
                return message.route() != begin->route();
            });
            const auto middle =
                std::find_if(begin, end, [](const Message& message) { return message.receive; });
            auto send = begin;
            auto receive = middle;
            for (; send != middle && receive != end; ++send, ++receive) {
                compare(*send, *receive);
            }
            for (; send != middle; ++send) {
                report_alone(*send);
            }
            for (; receive != end; ++receive) {
                report_alone(*receive);
            }
            begin = end;
        }
    }

    void compare(const Message& send, const Message& receive) {
        const auto& sent = std::get<Send>(op_at(program_of(send.owner()), send.place));
        const auto& received = std::get<Recv>(op_at(program_of(receive.owner()), receive.place));
        if (sent.buffer.elements != received.buffer.elements || sent.dtype != received.dtype) {
            findings_.add(fmt::format("{} meets {}",
                                      text_of(program_of(send.owner()), send.place),
                                      text_of(program_of(receive.owner()), receive.place)));
        }
    }

    void report_alone(const Message& message) {
        const WorldRank peer = message.receive ? message.from : message.to;
        if (!set_.program_of(peer)) {
            return;
        }
        findings_.add(fmt::format("{} tag {} has no {} on rank {}",
                                  text_of(program_of(message.owner()), message.place),
                                  message.tag,
                                  message.receive ? "send" : "receive",
                                  peer.value()));
    }

    [[nodiscard]] const StepProgram& program_of(WorldRank rank) const {
        return set_.programs()[set_.program_of(rank).value()];
    }

    const ProgramSet& set_;
    Findings& findings_;
    std::vector<std::map<WorldRank, Sequence>> collectives_;  ///< per group
    std::vector<Message> messages_;
};

}  // namespace

void check_traffic(const ProgramSet& set, Findings& findings) {
    TrafficCheck(set, findings).run();
}

}  // namespace traindyno
