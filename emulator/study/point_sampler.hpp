// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a point in lockstep on all its ranks and keeps what each step cost.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "emulator/engine/arrivals.hpp"
#include "emulator/engine/step_runner.hpp"
#include "emulator/study/measure_point.hpp"
#include "emulator/study/sampling.hpp"
#include "emulator/trace/clock_sync.hpp"

namespace traindyno {

/// Which traffic: group kind, and whether it is an all-reduce or a transfer between two ranks.
enum class TrafficKind : std::uint8_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    all_to_all,
    send_recv,
};

template <>
struct EnumNames<TrafficKind> {
    static constexpr auto names = enum_table<TrafficKind>(
        "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "send_recv");
};

struct TrafficKey {
    GroupKind group = GroupKind::dp;
    TrafficKind kind = TrafficKind::all_reduce;
    std::string carrier{};  ///< StepRunner::carrier

    friend auto operator<=>(const TrafficKey&, const TrafficKey&) = default;
};

/// One kind of this rank's traffic, over all measured steps.
struct TrafficTotal {
    std::int64_t count = 0;
    std::int64_t bytes = 0;
    double seconds = 0;  ///< from the latest arrival to completion

    friend bool operator==(const TrafficTotal&, const TrafficTotal&) = default;
};

/// What one rank saw of the measured steps.
struct RankSamples {
    std::vector<double> step_seconds;
    std::vector<Budget> budgets;  ///< per step, before the bubble is split off; empty untraced
    std::map<TrafficKey, TrafficTotal> traffic;
    double lateness_seconds = 0;      ///< over all steps
    double removed_step_seconds = 0;  ///< median step without communication
    std::int64_t warmup_steps = 0;
    Verdict verdict = Verdict::converged;
    std::optional<TelemetrySummary> gpu{};  ///< in these steps

    friend bool operator==(const RankSamples&, const RankSamples&) = default;
};

/// Collective over the ranks of the point: all run the same number of steps, as rank 0 decides.
class PointSampler {
  public:
    PointSampler(const IssueOrder& order,
                 StepRunner& runner,
                 const GroupCommunicators& groups,
                 Communicator& ranks,
                 const PointContext& context);

    [[nodiscard]] RankSamples run();

  private:
    void warm_up();
    void measure_without_communication();
    void measure();
    [[nodiscard]] std::int64_t next_batch(StoppingRule& rule);
    void run_batch(std::int64_t steps, StoppingRule& rule);
    void account_for(std::vector<StepTrace>& steps);
    void add_traffic(const StepTrace& step, const std::vector<Arrival>& arrivals);
    [[nodiscard]] std::int64_t decided_by_first(std::int64_t value);

    [[nodiscard]] bool is_first() const { return ranks_.rank() == GroupRank{0}; }

    const IssueOrder& order_;
    StepRunner& runner_;
    const GroupCommunicators& groups_;
    Communicator& ranks_;
    const PointContext& context_;
    std::vector<SimTime> reference_;  ///< per operation: median time without communication
    ClockReading clock_;              ///< the latest, before the running batch
    double last_step_seconds_ = 0;
    RankSamples samples_;
    std::vector<Interval> batches_;  ///< when measured steps ran back to back
};

}  // namespace traindyno
