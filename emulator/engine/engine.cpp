// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/engine.hpp"

#include <algorithm>
#include <ctime>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sched.h>

#include "emulator/base/error.hpp"
#include "emulator/base/overloaded.hpp"
#include "emulator/engine/collective_calls.hpp"
#include "emulator/engine/describe_op.hpp"
#include "emulator/engine/marked_parts.hpp"

namespace traindyno {

namespace {

/// Bounds of the sleep between two looks at communication that runs beside compute. The first look
/// comes early, so that short messages do not wait; later ones leave the core to compute.
constexpr SimTime shortest_poll = std::chrono::microseconds{50};
constexpr SimTime longest_poll = std::chrono::microseconds{200};
constexpr SimTime sleep_poll = std::chrono::microseconds{20};

/// Operations queued on the device ahead of completion; well below the intervals a device
/// remembers.
constexpr Ticket deepest_queue = 4096;

bool is_compute(Lane lane) {
    return lane == Lane::compute;
}

/// Ranks with different parts of the sequences attend to different numbers of others.
bool cuts_sequences(const StepProgram& program) {
    return std::any_of(program.groups.begin(), program.groups.end(), [](const Group& group) {
        return group.kind == GroupKind::cp;
    });
}

Pending begin(Communicator& group,
              const Collective& op,
              std::span<const std::byte> in,
              std::span<std::byte> out,
              Urgency urgency) {
    switch (op.kind) {
        case CollectiveKind::all_reduce:
            return group.all_reduce(in, out, op.dtype, op.reduction, urgency);
        case CollectiveKind::reduce_scatter:
            return group.reduce_scatter(in, out, op.dtype, op.reduction, urgency);
        case CollectiveKind::all_gather:
            return group.all_gather(in, out, urgency);
        case CollectiveKind::all_to_all: {
            const std::vector<std::int64_t> sent = part_bytes(op.sent, op.dtype);
            const std::vector<std::int64_t> received = part_bytes(op.received, op.dtype);
            return group.all_to_all(in, out, {.sent = sent, .received = received}, urgency);
        }
    }
    return {};
}

}  // namespace

Engine::Engine(const IssueOrder& order,
               Device& device,
               const GroupCommunicators& communicators,
               RunnerOptions options)
    : order_(order),
      schedule_(order),
      device_(device),
      communicators_(communicators),
      options_(options) {
    TD_EXPECT(communicators_.size() == order_.program().groups.size());
    done_.resize(order_.ops().size());
    spans_.resize(order_.ops().size());
}

StepTrace Engine::run_step(Traffic traffic, Tracing tracing) {
    begin_step(traffic);
    StepTrace trace;
    trace.begin = now();
    SimTime last_progress = trace.begin;
    while (remaining_ > 0) {
        bool progressed = harvest_compute();
        progressed = advance_communication() || progressed;
        progressed = issue() || progressed;
        if (progressed) {
            last_progress = now();
            poll_interval_ = shortest_poll;
        } else {
            idle(last_progress);
        }
    }
    trace.end = now();
    if (tracing == Tracing::on) {
        trace.spans = spans_;
    }
    return trace;
}

void Engine::begin_step(Traffic traffic) {
    traffic_ = traffic;
    std::fill(done_.begin(), done_.end(), std::uint8_t{0});
    remaining_ = done_.size();
    for (LaneState& lane : lanes_) {
        lane.next = 0;
    }
    first_ticket_ = submitted_;
    poll_interval_ = shortest_poll;
}

bool Engine::harvest_compute() {
    const auto compute = order_.lane(Lane::compute);
    const Ticket completed = device_.completed();
    const bool progressed = harvested_ < completed;
    for (; harvested_ < completed; ++harvested_) {
        const OpIndex index = compute[static_cast<std::size_t>(harvested_ - first_ticket_)];
        const Interval ran = device_.interval(harvested_);
        spans_[index] = {.begin = ran.begin, .end = ran.end};
        complete(index);
    }
    return progressed;
}

bool Engine::advance_communication() {
    bool progressed = false;
    for (LaneState& lane : lanes_) {
        if (lane.in_flight && lane.pending.done()) {
            const OpIndex index = *std::exchange(lane.in_flight, std::nullopt);
            --communications_in_flight_;
            spans_[index].end = now();
            verify(index);
            complete(index);
            progressed = true;
        }
    }
    return progressed;
}

bool Engine::issue() {
    bool progressed = issue_compute();
    for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
        if (!is_compute(static_cast<Lane>(lane))) {
            progressed = issue_communication(static_cast<Lane>(lane)) || progressed;
        }
    }
    return progressed;
}

bool Engine::issue_compute() {
    LaneState& lane = state(Lane::compute);
    const auto queue = order_.lane(Lane::compute);
    bool progressed = false;
    while (lane.next < queue.size() && submitted_ - harvested_ < deepest_queue &&
           ready(queue[lane.next])) {
        const OpIndex index = queue[lane.next++];
        device_.submit(std::get<ComputeOp>(order_.block_op(index).op), order_.task_of(index));
        ++submitted_;
        progressed = true;
    }
    return progressed;
}

bool Engine::issue_communication(Lane which) {
    LaneState& lane = state(which);
    const auto queue = order_.lane(which);
    bool progressed = false;
    while (!lane.in_flight && lane.next < queue.size() && ready(queue[lane.next])) {
        post(queue[lane.next++], lane);
        progressed = true;
    }
    return progressed;
}

void Engine::post(OpIndex index, LaneState& lane) {
    if (traffic_ == Traffic::removed) {
        spans_[index].begin = spans_[index].end = now();
        complete(index);
        return;
    }
    lane.in_flight = index;
    lane.pending = start(index);
    ++communications_in_flight_;
}

/// With nothing else outstanding on this rank, the communication may block: only its own completion
/// can release anything, so blocking cannot withhold an operation that another rank waits for. All
/// members must decide alike (a blocking call of MPI does not match one that is not), so it is the
/// program that decides, and only for groups whose members run equal programs.
Urgency Engine::urgency(OpIndex index) const {
    const auto& op = std::get<CommOp>(order_.block_op(index).op);
    const GroupKind kind = order_.program().groups[group_id(op).index()].kind;
    const bool equal_programs =
        kind == GroupKind::tp || (kind == GroupKind::dp && !cuts_sequences(order_.program()));
    const bool blocks = equal_programs && schedule_.runs_alone(index);
    TD_EXPECT(!blocks || (communications_in_flight_ == 0 && submitted_ == harvested_));
    return blocks && options_.waiting == Waiting::poll ? Urgency::immediate : Urgency::background;
}

std::string_view Engine::carrier(OpIndex index) const {
    const auto* op = std::get_if<Collective>(&std::get<CommOp>(order_.block_op(index).op));
    if (op == nullptr) {
        return {};
    }
    return communicators_[op->group.index()]->carrier(
        operation_of(op->kind),
        static_cast<std::size_t>(longer_buffer(*op).value()),
        urgency(index));
}

Pending Engine::start(OpIndex index) {
    const auto& op = std::get<CommOp>(order_.block_op(index).op);
    const Task& task = order_.task_of(index);
    Communicator& group = *communicators_[group_id(op).index()];
    return std::visit(
        Overloaded{[&](const Collective& collective) { return start(index, collective); },
                   [&](const Send& send) {
                       spans_[index].begin = now();
                       return group.send(
                           device_.memory(send.buffer, task), send.peer, send.tag + task.tag_base);
                   },
                   [&](const Recv& recv) {
                       spans_[index].begin = now();
                       return group.recv(
                           device_.memory(recv.buffer, task), recv.peer, recv.tag + task.tag_base);
                   }},
        op);
}

Pending Engine::start(OpIndex index, const Collective& op) {
    const Task& task = order_.task_of(index);
    Communicator& group = *communicators_[op.group.index()];
    for (const StampedPart& part : stamped_parts(op, group.size(), check_key(index))) {
        stamp(
            marks_for(part.slice, op.dtype), part.slice.elements, op.dtype, group.rank(), part.key);
        copy_marks(CopyDirection::to_device, part.slice, task);
    }
    const Urgency urgency = this->urgency(index);
    spans_[index].begin = now();
    if (urgency == Urgency::immediate) {
        blocked_since_.store(spans_[index].begin.count(), std::memory_order_relaxed);
    }
    Pending pending =
        begin(group, op, device_.memory(op.input, task), device_.memory(op.output, task), urgency);
    blocked_since_.store(0, std::memory_order_relaxed);
    return pending;
}

/// The position in its lane: equal on all members, though their programs may differ elsewhere.
std::uint32_t Engine::check_key(OpIndex index) {
    return static_cast<std::uint32_t>(state(order_.ops()[index].lane).next);
}

void Engine::verify(OpIndex index) {
    const auto* op = std::get_if<Collective>(&std::get<CommOp>(order_.block_op(index).op));
    if (op == nullptr) {
        return;
    }
    const Communicator& group = *communicators_[op->group.index()];
    for (const CheckedPart& part :
         checked_parts(*op, group.rank(), group.size(), check_key(index))) {
        const std::span<std::byte> marks = marks_for(part.slice, op->dtype);
        copy_marks(CopyDirection::to_host, part.slice, order_.task_of(index));
        const ReductionChecks found =
            check(marks, part.slice.elements, op->dtype, part.reduction, part.members, part.key);
        checks_.checked += found.checked;
        checks_.wrong += found.wrong;
    }
}

std::span<std::byte> Engine::marks_for(const Slice& part, DType type) {
    marks_.resize(static_cast<std::size_t>(size_of(marks_in(part.elements), type).value()));
    return marks_;
}

/// Between marks_ and the buffer they were made for.
void Engine::copy_marks(CopyDirection direction, const Slice& buffer, const Task& task) {
    const auto count = static_cast<std::size_t>(marks_in(buffer.elements));
    if (count == 0) {
        return;
    }
    const std::size_t width = marks_.size() / count;
    const std::span<std::byte> marks(marks_);
    Slice part = buffer;
    part.elements = buffer.elements - 1;
    device_.copy(direction, part, task, check_stride, marks.first(marks.size() - width));
    part = {.space = buffer.space, .offset = buffer.offset + buffer.elements - 1, .elements = 1};
    device_.copy(direction, part, task, 1, marks.last(width));
}

void Engine::complete(OpIndex index) {
    done_[index] = 1;
    --remaining_;
}

/// Compute may be submitted while earlier compute is still queued: the device keeps the order.
bool Engine::ready(OpIndex index) const {
    const bool queued_compute_counts = is_compute(order_.ops()[index].lane);
    bool all = true;
    order_.for_each_dependency(index, [&](OpIndex earlier) {
        const bool satisfied = done_[earlier] != 0 ||
                               (queued_compute_counts && is_compute(order_.ops()[earlier].lane));
        all = all && satisfied;
    });
    return all;
}

void Engine::idle(SimTime last_progress) {
    const SimTime time = now();
    if (time - last_progress > options_.timeout) {
        throw HangError(fmt::format(
            "nothing completed for {:.0f} s (a rank is missing or stuck) outstanding here:\n{}",
            to_seconds(options_.timeout),
            outstanding()));
    }
    const bool computing = submitted_ > harvested_;
    TD_EXPECT(computing || communications_in_flight_ > 0);
    if (computing) {
        const SimTime deadline = communications_in_flight_ > 0 ? time + poll_interval_
                                                               : last_progress + options_.timeout;
        device_.wait(harvested_, deadline);
        poll_interval_ = std::min(poll_interval_ * 2, longest_poll);
    } else if (options_.waiting == Waiting::sleep) {
        std::this_thread::sleep_for(
            std::chrono::duration_cast<std::chrono::nanoseconds>(sleep_poll));
    } else {
        sched_yield();
    }
}

std::string Engine::outstanding() const {
    std::string text;
    for (const LaneState& lane : lanes_) {
        if (lane.in_flight) {
            text += describe(order_, *lane.in_flight) + "\n";
        }
    }
    if (submitted_ > harvested_) {
        const auto compute = order_.lane(Lane::compute);
        text +=
            describe(order_, compute[static_cast<std::size_t>(harvested_ - first_ticket_)]) + "\n";
    }
    return text;
}

}  // namespace traindyno
