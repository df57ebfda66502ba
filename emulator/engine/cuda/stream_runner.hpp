// SPDX-License-Identifier: Apache-2.0
// Runs a step program on CUDA streams: a whole step is enqueued, or replayed as one graph.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/device/cuda/cuda_device.hpp"
#include "emulator/engine/cuda/stream_runner_options.hpp"
#include "emulator/engine/cuda/stream_traffic.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/engine/stream_schedule.hpp"

namespace traindyno {

/// Every lane is a stream; what crosses lanes waits for events on the device, so the host is never
/// in the way. One thread enqueues and then polls the end of the step, NCCL's errors and a
/// deadline.
class StreamRunner final : public StepRunner {
  public:
    /// `device` has been prepared for order.program(); `ranks` are the point's, on the host. All
    /// outlive the runner. Collective.
    StreamRunner(const IssueOrder& order,
                 CudaDevice& device,
                 Communicator& ranks,
                 StreamRunnerOptions options);

    [[nodiscard]] StepTrace run_step(Traffic traffic, Tracing tracing) override;

    [[nodiscard]] std::string_view carrier(OpIndex /*index*/) const override { return "nccl"; }

    [[nodiscard]] ReductionChecks checks() override;
    [[nodiscard]] std::string outstanding() const override;

    [[nodiscard]] SimTime blocked_since() const override {
        return SimTime{blocked_since_.load(std::memory_order_relaxed)};
    }

  private:
    struct GraphTraits {
        using Handle = cudaGraphExec_t;

        static Handle null() { return nullptr; }

        static void destroy(Handle graph) noexcept { (void)cudaGraphExecDestroy(graph); }
    };

    using Graph = UniqueHandle<GraphTraits>;

    enum class Recording : std::uint8_t { eager, captured };

    struct LaneState {
        CudaStream own;  ///< empty for compute, which is the device's
        cudaStream_t stream = nullptr;
        CudaEvent joined;
        std::vector<OpIndex> milestones;  ///< operations whose completion counts as progress
        std::size_t reached = 0;          ///< of the milestones
    };

    void make_lanes();
    void make_events();
    void load_checks();
    [[nodiscard]] StepTrace time_step(Traffic traffic, Tracing tracing);
    [[nodiscard]] Graph* graph_of(Traffic traffic, Tracing tracing);
    void launch(Traffic traffic, Tracing tracing, const Graph* graph);
    [[nodiscard]] Graph capture(Traffic traffic, Tracing tracing);
    void enqueue_step(Traffic traffic, Tracing tracing, Recording recording);
    void enqueue(OpIndex index, Traffic traffic, Tracing tracing, Recording recording);
    void enqueue_communication(OpIndex index,
                               Traffic traffic,
                               Tracing tracing,
                               Recording recording);
    [[nodiscard]] std::uint32_t check_key(OpIndex index) const;
    void stamp_marks(OpIndex index, const Collective& op);
    void check_marks(OpIndex index, const Collective& op);
    void stamp_time(const CudaEvent& event, Lane lane, Tracing tracing, Recording recording);
    void wait_for_end();
    [[nodiscard]] bool progressed();
    [[nodiscard]] std::vector<Span> spans() const;

    [[nodiscard]] LaneState& state(Lane lane) { return lanes_[static_cast<std::size_t>(lane)]; }

    const IssueOrder& order_;
    CudaDevice& device_;
    StreamRunnerOptions options_;
    StreamSchedule schedule_;
    StreamTraffic traffic_;
    std::array<LaneState, enum_count<Lane>> lanes_;
    CudaEvent started_;
    CudaEvent finished_;
    std::vector<CudaEvent> done_;   ///< of operations that are awaited or milestones; else empty
    std::vector<CudaEvent> begin_;  ///< of every operation, once a step has been traced
    std::vector<CudaEvent> end_;
    OpIndex enqueued_ = 0;  ///< operations of the running step that are in their streams
    bool warm_ = false;     ///< a step with traffic has run: NCCL has nothing left to set up
    std::array<std::array<Graph, enum_count<Tracing>>, 2> graphs_;  ///< by traffic and tracing
    DeviceBytes counters_;
    std::atomic<std::int64_t> blocked_since_{0};
};

}  // namespace traindyno
