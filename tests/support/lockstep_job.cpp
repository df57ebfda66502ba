// SPDX-License-Identifier: Apache-2.0
#include "tests/support/lockstep_job.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno::test {

namespace {

std::vector<float> widened(std::span<const std::byte> bytes, DType type) {
    std::vector<float> values(bytes.size() / static_cast<std::size_t>(element_size(type)));
    if (type == DType::fp32) {
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    TD_EXPECT(type == DType::bf16);
    for (std::size_t i = 0; i < values.size(); ++i) {
        Bf16 half;
        std::memcpy(&half, bytes.data() + i * sizeof half, sizeof half);
        values[i] = to_float(half);
    }
    return values;
}

void narrow(std::span<const float> values, DType type, std::span<std::byte> bytes) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (type == DType::fp32) {
            std::memcpy(bytes.data() + i * sizeof(float), &values[i], sizeof(float));
        } else {
            const Bf16 half = to_bf16(values[i]);
            std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
        }
    }
}

/// Of an exchange, what member `index` receives.
std::vector<float> received(const std::vector<const Collective*>& ops,
                            const std::vector<std::vector<float>>& inputs,
                            std::size_t index) {
    std::vector<float> result;
    for (std::size_t sender = 0; sender < ops.size(); ++sender) {
        const std::vector<float>& input = inputs[sender];
        const std::vector<std::int64_t> equal(ops.size(),
                                              static_cast<std::int64_t>(input.size() / ops.size()));
        const std::vector<std::int64_t>& parts =
            ops[sender]->sent.empty() ? equal : ops[sender]->sent;
        const auto begin = std::accumulate(
            parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(index), std::int64_t{0});
        result.insert(result.end(), input.begin() + begin, input.begin() + begin + parts[index]);
    }
    return result;
}

}  // namespace

LockstepJob::LockstepJob(std::vector<StepProgram> programs,
                         std::vector<std::unique_ptr<Device>> devices)
    : programs_(std::move(programs)), devices_(std::move(devices)) {
    for (const StepProgram& program : programs_) {
        ranks_.emplace_back(program);
    }
    for (std::size_t rank = 0; rank < devices_.size(); ++rank) {
        devices_[rank]->prepare(programs_[rank]);
    }
}

std::span<float> LockstepJob::floats(std::size_t rank, Space space) {
    TD_EXPECT(dtype_in(programs_[rank], space) == DType::fp32);
    const Slice all{
        .space = space, .offset = 0, .elements = extent_of(programs_[rank].extents, space)};
    const std::span<std::byte> bytes = devices_[rank]->memory(all, {});
    return {reinterpret_cast<float*>(bytes.data()), static_cast<std::size_t>(all.elements)};
}

void LockstepJob::run_step(Timing timing) {
    for (Rank& rank : ranks_) {
        rank.done.assign(rank.order.ops().size(), 0);
        rank.next = {};
    }
    const auto left = [&] {
        std::size_t count = 0;
        for (const Rank& rank : ranks_) {
            count += static_cast<std::size_t>(std::count(rank.done.begin(), rank.done.end(), 0));
        }
        return count;
    };
    while (left() > 0) {
        bool progressed = false;
        while (timing == Timing::early && communicate_one()) {
            progressed = true;
        }
        for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
            progressed = compute_one(rank) || progressed;
        }
        if (!progressed) {
            TD_EXPECT(communicate_one());
        }
    }
}

bool LockstepJob::ready(const Rank& rank, OpIndex op) const {
    bool all = true;
    rank.order.for_each_dependency(op,
                                   [&](OpIndex earlier) { all = all && rank.done[earlier] != 0; });
    return all;
}

bool LockstepJob::compute_one(std::size_t index) {
    Rank& rank = ranks_[index];
    const auto queue = rank.order.lane(Lane::compute);
    std::size_t& next = rank.next[static_cast<std::size_t>(Lane::compute)];
    if (next == queue.size() || !ready(rank, queue[next])) {
        return false;
    }
    const OpIndex op = queue[next++];
    Device& device = *devices_[index];
    device.submit(std::get<ComputeOp>(rank.order.block_op(op).op), rank.order.task_of(op));
    ++rank.submitted;
    for (Ticket seen = device.completed(); seen < rank.submitted; seen = device.completed()) {
        device.wait(seen, now() + std::chrono::seconds{60});
    }
    rank.done[op] = 1;
    return true;
}

const CommOp& LockstepJob::op_of(const Arrival& arrival) const {
    return std::get<CommOp>(ranks_[arrival.rank].order.block_op(arrival.op).op);
}

std::span<std::byte> LockstepJob::memory(const Arrival& arrival, const Slice& slice) {
    return devices_[arrival.rank]->memory(slice, ranks_[arrival.rank].order.task_of(arrival.op));
}

/// The first communication whose members are all at it.
bool LockstepJob::communicate_one() {
    std::map<std::pair<GroupKind, std::vector<WorldRank>>, std::vector<Arrival>> collectives;
    std::vector<Arrival> sends;
    std::vector<Arrival> receives;
    for (std::size_t index = 0; index < ranks_.size(); ++index) {
        const Rank& rank = ranks_[index];
        for (std::size_t lane = 1; lane < enum_count<Lane>; ++lane) {
            const auto queue = rank.order.lane(static_cast<Lane>(lane));
            if (rank.next.at(lane) == queue.size() || !ready(rank, queue[rank.next.at(lane)])) {
                continue;
            }
            const Arrival arrival{.rank = index, .op = queue[rank.next.at(lane)]};
            const CommOp& op = op_of(arrival);
            if (std::holds_alternative<Collective>(op)) {
                const Group& group = programs_[index].groups[group_id(op).index()];
                std::vector<Arrival>& members = collectives[{group.kind, group.members}];
                members.push_back(arrival);
                if (static_cast<std::int64_t>(members.size()) == group.size()) {
                    perform(members);
                    return true;
                }
            } else {
                (std::holds_alternative<Send>(op) ? sends : receives).push_back(arrival);
            }
        }
    }
    const auto route = [&](const Arrival& arrival, const auto& message) {
        const Group& group = programs_[arrival.rank].groups[message.group.index()];
        return std::pair(group.members[message.peer.index()].index(),
                         message.tag + ranks_[arrival.rank].order.task_of(arrival.op).tag_base);
    };
    for (const Arrival& send : sends) {
        for (const Arrival& receive : receives) {
            const auto [to, tag] = route(send, std::get<Send>(op_of(send)));
            const auto [from, expected] = route(receive, std::get<Recv>(op_of(receive)));
            if (to == receive.rank && from == send.rank && tag == expected) {
                deliver(send, receive);
                return true;
            }
        }
    }
    return false;
}

void LockstepJob::complete(const Arrival& arrival) {
    Rank& rank = ranks_[arrival.rank];
    rank.done[arrival.op] = 1;
    ++rank.next.at(static_cast<std::size_t>(rank.order.ops()[arrival.op].lane));
}

void LockstepJob::deliver(const Arrival& send, const Arrival& receive) {
    const auto from = memory(send, std::get<Send>(op_of(send)).buffer);
    const auto to = memory(receive, std::get<Recv>(op_of(receive)).buffer);
    TD_EXPECT(from.size() == to.size());
    std::copy(from.begin(), from.end(), to.begin());
    complete(send);
    complete(receive);
}

/// `members` are in the order of their ranks, which is that of the group.
void LockstepJob::perform(const std::vector<Arrival>& members) {
    std::vector<std::vector<float>> inputs;
    std::vector<const Collective*> ops;
    for (const Arrival& member : members) {
        const auto& op = std::get<Collective>(op_of(member));
        ops.push_back(&op);
        inputs.push_back(widened(memory(member, op.input), op.dtype));
    }
    const bool exchanges = ops.front()->kind == CollectiveKind::all_to_all;
    std::vector<float> reduced = inputs.front();
    std::vector<float> gathered = inputs.front();
    for (std::size_t i = 1; i < (exchanges ? 1 : inputs.size()); ++i) {
        const Reduction reduction = std::get<Collective>(op_of(members[i])).reduction;
        for (std::size_t at = 0; at < reduced.size(); ++at) {
            reduced[at] = reduction == Reduction::max ? std::max(reduced[at], inputs[i][at])
                                                      : reduced[at] + inputs[i][at];
        }
        gathered.insert(gathered.end(), inputs[i].begin(), inputs[i].end());
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
        const auto& op = std::get<Collective>(op_of(members[i]));
        std::vector<float> exchanged;
        std::span<const float> result = op.kind == CollectiveKind::all_gather ? gathered : reduced;
        if (op.kind == CollectiveKind::reduce_scatter) {
            const auto part = static_cast<std::size_t>(op.output.elements);
            result = result.subspan(i * part, part);
        }
        if (op.kind == CollectiveKind::all_to_all) {
            exchanged = received(ops, inputs, i);
            result = exchanged;
        }
        narrow(result, op.dtype, memory(members[i], op.output));
        complete(members[i]);
    }
}

}  // namespace traindyno::test
