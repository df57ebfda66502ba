// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/cuda/stream_runner.hpp"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sched.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/engine/describe_op.hpp"

namespace traindyno {

namespace {

constexpr auto sleep_poll = std::chrono::microseconds{20};

bool is_compute(Lane lane) {
    return lane == Lane::compute;
}

/// The group kind whose traffic runs on `lane`, as an index.
std::size_t kind_of(Lane lane) {
    const auto index = [](GroupKind kind) { return static_cast<std::size_t>(kind); };
    switch (lane) {
        case Lane::tp:
            return index(GroupKind::tp);
        case Lane::cp:
        case Lane::cp_send:
        case Lane::cp_recv:
            return index(GroupKind::cp);
        case Lane::ep:
            return index(GroupKind::ep);
        case Lane::dp:
            return index(GroupKind::dp);
        case Lane::dp_replicate:
            return index(GroupKind::dp_replicate);
        case Lane::expert_dp:
            return index(GroupKind::expert_dp);
        case Lane::embedding:
            return index(GroupKind::embedding);
        case Lane::model:
            return index(GroupKind::model);
        case Lane::compute:
        case Lane::pp_recv_forward:
        case Lane::pp_send_forward:
        case Lane::pp_recv_backward:
        case Lane::pp_send_backward:
            break;
    }
    return index(GroupKind::pp);
}

}  // namespace

StreamRunner::StreamRunner(const IssueOrder& order,
                           CudaDevice& device,
                           Communicator& ranks,
                           StreamRunnerOptions options)
    : order_(order),
      device_(device),
      options_(std::move(options)),
      schedule_(order),
      traffic_(order.program(), ranks, options_.groups),
      started_(make_event(EventTiming::off)),
      finished_(make_event(EventTiming::off)),
      counters_(Bytes{sizeof(cuda::PatternCounters)}) {
    traffic_.register_buffers(order_, options_.groups, [&](const Slice& slice, const Task& task) {
        return device_.memory(slice, task);
    });
    make_lanes();
    make_events();
    load_checks();
}

void StreamRunner::make_lanes() {
    for (const Lane lane : schedule_.lanes()) {
        LaneState& made = state(lane);
        if (!is_compute(lane)) {
            made.own = make_stream(options_.groups[kind_of(lane)].priority);
        }
        made.stream = is_compute(lane) ? device_.stream() : made.own.get();
        made.joined = make_event(EventTiming::off);
    }
}

/// All of them now: creating one while the step runs would be a pause of its own.
void StreamRunner::make_events() {
    const std::size_t count = order_.ops().size();
    done_.resize(count);
    for (OpIndex index = 0; index < count; ++index) {
        const IssuedOp& op = order_.ops()[index];
        const bool last_of_task = index + 1 == order_.last_of(op.task);
        const bool milestone = !is_compute(op.lane) || last_of_task;
        if (milestone) {
            state(op.lane).milestones.push_back(index);
        }
        if (milestone || schedule_.is_awaited(index)) {
            done_[index] = make_event(EventTiming::off);
        }
        begin_.push_back(make_event(EventTiming::on));
        end_.push_back(make_event(EventTiming::on));
    }
}

/// Runs the kernels that mark and check reduced buffers, for the reason of CudaExecutor's warm-up.
void StreamRunner::load_checks() {
    auto* const stream = state(Lane::compute).stream;
    auto* const counters = reinterpret_cast<cuda::PatternCounters*>(counters_.data());
    const DeviceBytes buffer(size_of(check_minimum, DType::fp32));
    std::set<DType> types;
    for (OpIndex index = 0; index < order_.ops().size(); ++index) {
        const auto* op = std::get_if<CommOp>(&order_.block_op(index).op);
        const auto* collective = op == nullptr ? nullptr : std::get_if<Collective>(op);
        if (collective != nullptr && types.insert(collective->dtype).second) {
            cuda::stamp_pattern(
                buffer.data(), collective->dtype, check_minimum, GroupRank{0}, 0, stream);
            cuda::check_pattern(buffer.data(),
                                collective->dtype,
                                check_minimum,
                                collective->reduction,
                                1,
                                0,
                                counters,
                                stream);
        }
    }
    TD_CUDA(cudaMemsetAsync(counters_.data(), 0, sizeof(cuda::PatternCounters), stream));
    TD_CUDA(cudaStreamSynchronize(stream));
}

/// Whatever fails, no kernel may stay behind that waits for a peer: the memory that goes next is
/// freed by calls that wait for the device.
StepTrace StreamRunner::run_step(Traffic traffic, Tracing tracing) {
    try {
        return time_step(traffic, tracing);
    } catch (...) {
        blocked_since_.store(now().count(), std::memory_order_relaxed);
        traffic_.abort();
        throw;
    }
}

StepTrace StreamRunner::time_step(Traffic traffic, Tracing tracing) {
    const Graph* graph = graph_of(traffic, tracing);
    device_.clock().anchor();
    StepTrace trace;
    trace.begin = device_.clock().anchored_at();
    launch(traffic, tracing, graph);
    wait_for_end();
    warm_ = warm_ || traffic == Traffic::real;
    trace.end = now();
    if (tracing == Tracing::on) {
        trace.spans = spans();
        for (const Span& span : trace.spans) {  // the GPU's clock is known to a few us
            trace.end = std::max(trace.end, span.end);
        }
    }
    return trace;
}

/// Null where the step is enqueued operation by operation. Captured before the step's time begins.
StreamRunner::Graph* StreamRunner::graph_of(Traffic traffic, Tracing tracing) {
    if (options_.launch == StepLaunch::eager || !warm_) {
        return nullptr;
    }
    Graph& graph =
        graphs_.at(static_cast<std::size_t>(traffic)).at(static_cast<std::size_t>(tracing));
    if (graph.empty()) {
        graph = capture(traffic, tracing);
        blocked_since_.store(0, std::memory_order_relaxed);
    }
    return &graph;
}

void StreamRunner::launch(Traffic traffic, Tracing tracing, const Graph* graph) {
    auto* const compute = state(Lane::compute).stream;
    blocked_since_.store(now().count(), std::memory_order_relaxed);
    if (graph == nullptr) {
        enqueue_step(traffic, tracing, Recording::eager);
    } else {
        TD_CUDA(cudaGraphLaunch(graph->get(), compute));
    }
    TD_CUDA(cudaEventRecord(finished_.get(), compute));
    blocked_since_.store(0, std::memory_order_relaxed);
}

StreamRunner::Graph StreamRunner::capture(Traffic traffic, Tracing tracing) {
    auto* const compute = state(Lane::compute).stream;
    // Relaxed: NCCL's threads make calls of their own while this thread captures.
    TD_CUDA(cudaStreamBeginCapture(compute, cudaStreamCaptureModeRelaxed));
    enqueue_step(traffic, tracing, Recording::captured);
    cudaGraph_t captured = nullptr;
    TD_CUDA(cudaStreamEndCapture(compute, &captured));
    cudaGraphExec_t executable = nullptr;
    const cudaError_t made = cudaGraphInstantiate(&executable, captured, 0);
    (void)cudaGraphDestroy(captured);
    check_cuda(made, "cudaGraphInstantiate", Where::here());
    Graph graph(executable);
    TD_CUDA(cudaGraphUpload(graph.get(), compute));
    TD_CUDA(cudaStreamSynchronize(compute));
    return graph;
}

void StreamRunner::wait_for_end() {
    SimTime last_progress = now();
    while (!is_complete(finished_.get())) {
        traffic_.check();
        if (progressed()) {
            last_progress = now();
        } else if (now() - last_progress > options_.runner.timeout) {
            throw HangError(fmt::format(
                "nothing completed for {:.0f} s (a rank is missing or stuck) outstanding here:\n{}",
                to_seconds(options_.runner.timeout),
                outstanding()));
        }
        if (options_.runner.waiting == Waiting::sleep) {
            std::this_thread::sleep_for(sleep_poll);
        } else {
            sched_yield();
        }
    }
}

/// Inside a graph nothing reports progress: the step has to end within the timeout.
bool StreamRunner::progressed() {
    if (options_.launch == StepLaunch::graph) {
        return false;
    }
    bool any = false;
    for (const Lane lane : schedule_.lanes()) {
        LaneState& at = state(lane);
        while (at.reached < at.milestones.size() && at.milestones[at.reached] < enqueued_ &&
               is_complete(done_[at.milestones[at.reached]].get())) {
            ++at.reached;
            any = true;
        }
    }
    return any;
}

std::vector<Span> StreamRunner::spans() const {
    std::vector<Span> spans(order_.ops().size());
    const EventClock& clock = device_.clock();
    for (OpIndex index = 0; index < spans.size(); ++index) {
        spans[index] = {.begin = clock.host_time(begin_[index].get()),
                        .end = clock.host_time(end_[index].get())};
    }
    return spans;
}

ReductionChecks StreamRunner::checks() {
    cuda::PatternCounters counters;
    auto* const stream = state(Lane::compute).stream;
    TD_CUDA(cudaMemcpyAsync(
        &counters, counters_.data(), sizeof counters, cudaMemcpyDeviceToHost, stream));
    TD_CUDA(cudaStreamSynchronize(stream));
    return {.checked = static_cast<std::int64_t>(counters.checked),
            .wrong = static_cast<std::int64_t>(counters.wrong)};
}

std::string StreamRunner::outstanding() const {
    if (options_.launch == StepLaunch::graph) {
        return "  the step, launched as one graph\n";
    }
    std::string text;
    for (const Lane lane : schedule_.lanes()) {
        const LaneState& at = lanes_[static_cast<std::size_t>(lane)];
        if (at.reached < at.milestones.size()) {
            text += describe(order_, at.milestones[at.reached]) + "\n";
        }
    }
    return text;
}

}  // namespace traindyno
