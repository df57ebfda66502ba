// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/cuda/stream_traffic.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "collectives/arguments.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/overloaded.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "emulator/engine/exchange_partners.hpp"
#include "emulator/program/slice_use.hpp"

namespace traindyno {

namespace {

using Present = std::array<std::int64_t, enum_count<GroupKind>>;

/// Which kinds of groups any rank has: a split is collective over all ranks.
Present kinds_anywhere(const StepProgram& program, Communicator& ranks, SimTime timeout) {
    Present present{};
    for (const Group& group : program.groups) {
        present[static_cast<std::size_t>(group.kind)] = 1;
    }
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(present));
    Pending all = ranks.all_reduce(bytes, bytes, DType::int64, Reduction::max, Urgency::background);
    wait_patiently(all, {.timeout = timeout});
    return present;
}

std::optional<std::size_t> group_of_kind(const StepProgram& program, GroupKind kind) {
    for (std::size_t i = 0; i < program.groups.size(); ++i) {
        if (program.groups[i].kind == kind) {
            return i;
        }
    }
    return std::nullopt;
}

std::int64_t bytes_in(const Slice& slice, DType type) {
    return size_of(slice.elements, type).value();
}

/// Where the parts of a buffer lie in it, in bytes.
std::vector<PartRange> ranges_of(const std::vector<std::int64_t>& elements,
                                 const Slice& buffer,
                                 DType type) {
    return part_ranges(part_bytes(elements, type),
                       static_cast<std::size_t>(bytes_in(buffer, type)),
                       static_cast<std::int64_t>(elements.size()));
}

/// The same word for each partner.
std::vector<PartRange> word_for_each(const std::vector<std::uint8_t>& partners) {
    std::vector<PartRange> ranges(partners.size());
    for (std::size_t member = 0; member < partners.size(); ++member) {
        ranges[member].size = partners[member] == 0 ? 0 : element_size(DType::fp32);
    }
    return ranges;
}

std::int32_t number(WorldRank rank) {
    return static_cast<std::int32_t>(rank.value());
}

}  // namespace

StreamTraffic::StreamTraffic(const StepProgram& program,
                             Communicator& ranks,
                             const Options& options)
    : groups_(program.groups.size()) {
    if (ranks.size() == 1) {
        return;
    }
    TD_EXPECT(ranks.rank() == GroupRank{program.rank.value()});
    world_ = NcclComm::across(ranks, options.front().nccl);
    split_groups(program, ranks, options);
    connect(program, options.front().nccl.timeout);
}

/// A rank outside every group of a kind splits off alone, under its own number: a group goes by the
/// number of its first member.
void StreamTraffic::split_groups(const StepProgram& program,
                                 Communicator& ranks,
                                 const Options& options) {
    const Present present = kinds_anywhere(program, ranks, options.front().nccl.timeout);
    for (std::size_t k = 0; k < present.size(); ++k) {
        const auto kind = static_cast<GroupKind>(k);
        if (present[k] == 0) {
            continue;
        }
        if (kind == GroupKind::pp) {
            split_boundaries(program, options[k].nccl);
            continue;
        }
        const auto mine = group_of_kind(program, kind);
        const Group alone{.kind = kind, .members = {program.rank}};
        const Group& group = mine ? program.groups[*mine] : alone;
        NcclOptions nccl = options[k].nccl;
        nccl.name = to_string(kind);
        NcclComm comm =
            world_->split(number(group.members.front()),
                          static_cast<std::int32_t>(group.rank_of(program.rank).value()),
                          nccl);
        if (mine) {
            groups_[*mine] = std::move(comm);
        }
    }
}

/// Boundary b lies between stages b and b + 1. A stage has at most one with even and one with odd
/// b, so two splits make the communicators of all boundaries for one direction.
void StreamTraffic::split_boundaries(const StepProgram& program, NcclOptions options) {
    options.name = "pp";
    const auto index = group_of_kind(program, GroupKind::pp);
    const Group alone{.kind = GroupKind::pp, .members = {program.rank}};
    const Group& pipeline = index ? program.groups[*index] : alone;
    const std::int64_t stage = pipeline.rank_of(program.rank).value();
    for (const auto& [of_lower, of_upper] :
         {std::pair{Lane::pp_send_forward, Lane::pp_recv_forward},
          std::pair{Lane::pp_recv_backward, Lane::pp_send_backward}}) {
        for (const std::int64_t parity : {0, 1}) {
            const bool is_lower = stage % 2 == parity;
            const std::int64_t lower = is_lower ? stage : stage - 1;
            const bool exists = lower >= 0 && lower + 1 < pipeline.size();
            const WorldRank color =
                exists ? pipeline.members[static_cast<std::size_t>(lower)] : program.rank;
            NcclComm both = world_->split(number(color), is_lower ? 0 : 1, options);
            if (exists) {
                boundaries_[static_cast<std::size_t>(is_lower ? of_lower : of_upper)] =
                    std::move(both);
            }
        }
    }
}

/// What fails here is given up before `word` is: freeing device memory waits for every kernel, one
/// without a peer included.
void StreamTraffic::connect(const StepProgram& program, SimTime timeout) {
    const CudaStream stream = make_stream();
    const CudaEvent connected = make_event(EventTiming::off);
    const DeviceBytes word(Bytes{element_size(DType::fp32)});
    try {
        use_once(program, word.data(), stream.get());
        TD_CUDA(cudaEventRecord(connected.get(), stream.get()));
        const auto deadline = std::chrono::steady_clock::now() + timeout;
        while (!is_complete(connected.get())) {
            check();
            if (std::chrono::steady_clock::now() > deadline) {
                throw HangError(
                    fmt::format("NCCL did not connect all ranks within {:.0f} s (a rank is lost or "
                                "still busy) look at the other ranks' output",
                                to_seconds(timeout)));
            }
            std::this_thread::sleep_for(std::chrono::microseconds{50});
        }
    } catch (...) {
        abort();
        throw;
    }
}

/// NCCL connects two ranks at their first operation, which then waits on the host. Here that cannot
/// deadlock: all ranks do the same in the same order, and a chain of messages resolves from its
/// end. A reduction connects neither all pairs nor those of a ring of messages: that takes messages
/// between them, whose values nobody reads.
void StreamTraffic::use_once(const StepProgram& program, std::byte* word, cudaStream_t stream) {
    const std::vector<ExchangePartners> exchanges = exchange_partners(program);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        if (!groups_[i]) {
            continue;
        }
        groups_[i]->all_reduce(word, word, 1, DType::fp32, Reduction::max, stream);
        if (const ExchangePartners& partners = exchanges[i]; !partners.sent_to.empty()) {
            groups_[i]->exchange(word,
                                 word,
                                 word_for_each(partners.sent_to),
                                 word_for_each(partners.received_from),
                                 stream);
        }
    }
    const std::int64_t size = element_size(DType::fp32);
    for (const auto& [send, recv] : {std::pair{Lane::pp_send_forward, Lane::pp_recv_forward},
                                     std::pair{Lane::pp_send_backward, Lane::pp_recv_backward}}) {
        if (auto& from = boundaries_[static_cast<std::size_t>(recv)]) {
            from->recv(word, size, GroupRank{1 - from->rank().value()}, stream);
        }
        if (auto& to = boundaries_[static_cast<std::size_t>(send)]) {
            to->send(word, size, GroupRank{1 - to->rank().value()}, stream);
        }
    }
}

NcclComm* StreamTraffic::carrier(const CommOp& op, Lane lane) {
    std::optional<NcclComm>& found = std::holds_alternative<Collective>(op)
                                         ? groups_[group_id(op).index()]
                                         : boundaries_[static_cast<std::size_t>(lane)];
    return found ? &*found : nullptr;
}

/// One range per communicator: from its first buffer to its last.
void StreamTraffic::register_buffers(const IssueOrder& order,
                                     const Options& options,
                                     const MemoryOf& memory_of) {
    std::map<NcclComm*, std::pair<std::byte*, std::byte*>> ranges;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        const auto* op = std::get_if<CommOp>(&order.block_op(index).op);
        if (op == nullptr) {
            continue;
        }
        const GroupKind kind = order.program().groups[group_id(*op).index()].kind;
        NcclComm* comm = carrier(*op, order.ops()[index].lane);
        if (comm == nullptr ||
            options[static_cast<std::size_t>(kind)].registration == Registration::off) {
            continue;
        }
        for (const SliceUse& use : slices_of(*op)) {
            const std::span<std::byte> buffer = memory_of(use.slice, order.task_of(index));
            std::byte* const end = buffer.data() + buffer.size();
            const auto [range, is_new] = ranges.try_emplace(comm, buffer.data(), end);
            range->second.first = std::min(range->second.first, buffer.data());
            range->second.second = std::max(range->second.second, end);
        }
    }
    for (const auto& [comm, range] : ranges) {
        comm->register_buffer(range.first, range.second - range.first);
    }
}

void StreamTraffic::enqueue(const CommOp& op, Lane lane, const Address& at, cudaStream_t stream) {
    NcclComm* comm = carrier(op, lane);
    TD_EXPECT(comm != nullptr);
    const std::int64_t bytes = payload(op).value();
    const GroupRank other{1 - comm->rank().value()};  // of a boundary's two
    std::visit(
        Overloaded{[&](const Collective& collective) { enqueue(collective, *comm, at, stream); },
                   [&](const Send& send) { comm->send(at(send.buffer), bytes, other, stream); },
                   [&](const Recv& recv) { comm->recv(at(recv.buffer), bytes, other, stream); }},
        op);
}

void StreamTraffic::enqueue(const Collective& op,
                            NcclComm& comm,
                            const Address& at,
                            cudaStream_t stream) {
    std::byte* const in = at(op.input);
    std::byte* const out = at(op.output);
    switch (op.kind) {
        case CollectiveKind::all_reduce:
            comm.all_reduce(in, out, op.output.elements, op.dtype, op.reduction, stream);
            return;
        case CollectiveKind::reduce_scatter:
            comm.reduce_scatter(in, out, op.output.elements, op.dtype, op.reduction, stream);
            return;
        case CollectiveKind::all_gather:
            comm.all_gather(in, out, bytes_in(op.input, op.dtype), stream);
            return;
        case CollectiveKind::all_to_all:
            if (op.sent.empty()) {
                comm.all_to_all(in, out, bytes_in(op.input, op.dtype) / comm.size(), stream);
            } else {
                comm.exchange(in,
                              out,
                              ranges_of(op.sent, op.input, op.dtype),
                              ranges_of(op.received, op.output, op.dtype),
                              stream);
            }
            return;
    }
}

template <class Visit>
void StreamTraffic::for_each_comm(Visit&& visit) {
    for (std::optional<NcclComm>& group : groups_) {
        if (group) {
            visit(*group);
        }
    }
    for (std::optional<NcclComm>& boundary : boundaries_) {
        if (boundary) {
            visit(*boundary);
        }
    }
    if (world_) {
        visit(*world_);
    }
}

void StreamTraffic::check() {
    for_each_comm([](NcclComm& comm) { (void)comm.settled(); });
}

void StreamTraffic::abort() noexcept {
    for_each_comm([](NcclComm& comm) { comm.abort(); });
}

}  // namespace traindyno
