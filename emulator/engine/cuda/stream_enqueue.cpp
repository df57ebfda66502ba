// SPDX-License-Identifier: Apache-2.0
// What StreamRunner puts into its streams for a step.
#include <algorithm>

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/cuda/nvtx_range.hpp"
#include "emulator/device/reduction_pattern.hpp"
#include "emulator/engine/cuda/stream_runner.hpp"
#include "emulator/engine/marked_parts.hpp"

namespace traindyno {

void StreamRunner::enqueue_step(Traffic traffic, Tracing tracing, Recording recording) {
    auto* const compute = state(Lane::compute).stream;
    TD_CUDA(cudaEventRecord(started_.get(), compute));
    for (const Lane lane : schedule_.lanes()) {
        state(lane).reached = 0;
        if (lane != Lane::compute) {
            TD_CUDA(cudaStreamWaitEvent(state(lane).stream, started_.get(), 0));
        }
    }
    enqueued_ = 0;
    for (OpIndex index = 0; index < order_.ops().size(); ++index) {
        blocked_since_.store(now().count(), std::memory_order_relaxed);
        enqueue(index, traffic, tracing, recording);
        enqueued_ = index + 1;
        if (enqueued_ == order_.last_of(order_.ops()[index].task)) {
            (void)progressed();  // so that outstanding() is right when the next call blocks
        }
    }
    for (const Lane lane : schedule_.lanes()) {
        if (lane != Lane::compute) {
            TD_CUDA(cudaEventRecord(state(lane).joined.get(), state(lane).stream));
            TD_CUDA(cudaStreamWaitEvent(compute, state(lane).joined.get(), 0));
        }
    }
}

void StreamRunner::enqueue(OpIndex index, Traffic traffic, Tracing tracing, Recording recording) {
    const Lane lane = order_.ops()[index].lane;
    const Task& task = order_.task_of(index);
    auto* const stream = state(lane).stream;
    const NvtxRange range(order_.program().blocks[task.block.index()].name);
    for (const OpIndex earlier : schedule_.waits_of(index)) {
        TD_CUDA(cudaStreamWaitEvent(stream, done_[earlier].get(), 0));
    }
    if (lane == Lane::compute) {
        stamp_time(begin_[index], lane, tracing, recording);
        device_.launch(std::get<ComputeOp>(order_.block_op(index).op), task);
        stamp_time(end_[index], lane, tracing, recording);
    } else {
        enqueue_communication(index, traffic, tracing, recording);
    }
    if (!done_[index].empty()) {
        TD_CUDA(cudaEventRecord(done_[index].get(), stream));
    }
}

/// Buffers are marked before the span begins and checked after it has ended.
void StreamRunner::enqueue_communication(OpIndex index,
                                         Traffic traffic,
                                         Tracing tracing,
                                         Recording recording) {
    const Lane lane = order_.ops()[index].lane;
    const auto& op = std::get<CommOp>(order_.block_op(index).op);
    const auto* collective = traffic == Traffic::real ? std::get_if<Collective>(&op) : nullptr;
    if (collective != nullptr) {
        stamp_marks(index, *collective);
    }
    stamp_time(begin_[index], lane, tracing, recording);
    if (traffic == Traffic::real) {
        const Task& task = order_.task_of(index);
        traffic_.enqueue(
            op,
            lane,
            [&](const Slice& slice) { return device_.memory(slice, task).data(); },
            state(lane).stream);
    }
    stamp_time(end_[index], lane, tracing, recording);
    if (collective != nullptr) {
        check_marks(index, *collective);
    }
}

/// Equal on all members: the position in the lane.
std::uint32_t StreamRunner::check_key(OpIndex index) const {
    const auto ops = order_.lane(order_.ops()[index].lane);
    return static_cast<std::uint32_t>(std::lower_bound(ops.begin(), ops.end(), index) -
                                      ops.begin());
}

void StreamRunner::stamp_marks(OpIndex index, const Collective& op) {
    for (const StampedPart& part :
         stamped_parts(op, traffic_.size_of(op.group), check_key(index))) {
        if (marks_in(part.slice.elements) > 0) {
            cuda::stamp_pattern(device_.memory(part.slice, order_.task_of(index)).data(),
                                op.dtype,
                                part.slice.elements,
                                traffic_.rank_in(op.group),
                                part.key,
                                state(order_.ops()[index].lane).stream);
        }
    }
}

void StreamRunner::check_marks(OpIndex index, const Collective& op) {
    for (const CheckedPart& part : checked_parts(
             op, traffic_.rank_in(op.group), traffic_.size_of(op.group), check_key(index))) {
        if (marks_in(part.slice.elements) > 0) {
            cuda::check_pattern(device_.memory(part.slice, order_.task_of(index)).data(),
                                op.dtype,
                                part.slice.elements,
                                part.reduction,
                                part.members,
                                part.key,
                                reinterpret_cast<cuda::PatternCounters*>(counters_.data()),
                                state(order_.ops()[index].lane).stream);
        }
    }
}

void StreamRunner::stamp_time(const CudaEvent& event,
                              Lane lane,
                              Tracing tracing,
                              Recording recording) {
    if (tracing == Tracing::on) {
        // External: the node records the event itself at every launch of the graph.
        TD_CUDA(cudaEventRecordWithFlags(
            event.get(),
            state(lane).stream,
            recording == Recording::captured ? cudaEventRecordExternal : cudaEventRecordDefault));
    }
}

}  // namespace traindyno
