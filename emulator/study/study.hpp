// SPDX-License-Identifier: Apache-2.0
// A scaling study: points, their statistics and budgets, and everything needed to repeat it.
// Mirrors the schema traindyno.study/1 (docs/study.schema.json), field by field.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "emulator/gpu/telemetry_summary.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/memory.hpp"
#include "emulator/program/training_setup.hpp"
#include "emulator/trace/budget.hpp"

namespace traindyno {

enum class Scaling : std::uint8_t { weak, strong };
enum class Provenance : std::uint8_t { measured, predicted };
/// Why sampling stopped.
enum class Verdict : std::uint8_t { converged, not_enough_samples, fixed_steps };

template <>
struct EnumNames<Scaling> {
    static constexpr auto names = enum_table<Scaling>("weak", "strong");
};

template <>
struct EnumNames<Provenance> {
    static constexpr auto names = enum_table<Provenance>("measured", "predicted");
};

template <>
struct EnumNames<Verdict> {
    static constexpr auto names =
        enum_table<Verdict>("converged", "not_enough_samples", "fixed_steps");
};

struct StepSeconds {
    double median = 0;
    std::array<double, 2> ci95{};  ///< bootstrap confidence interval of the median
    double min = 0;
    double p95 = 0;
    double max = 0;
    double mean = 0;
    std::vector<double> samples;  ///< one per measured step: mean over ranks

    friend bool operator==(const StepSeconds&, const StepSeconds&) = default;
};

/// One kind of traffic on one rank's groups, by what carried it, per step.
struct CollectiveRow {
    std::string kind;         ///< all_reduce, send_recv
    std::string group;        ///< tp, dp, pp ...
    std::string algorithm{};  ///< what carried it: mpi, ring, shm, nccl ...; "" for send_recv
    std::int64_t ranks = 0;   ///< group size
    std::int64_t count = 0;   ///< per rank and step
    std::int64_t bytes = 0;   ///< payload per rank and step
    double seconds = 0;       ///< mean time per step from the latest arrival to completion
    double algbw_gbs = 0;     ///< payload / seconds, decimal GB/s
    double busbw_gbs = 0;     ///< algbw x 2(n-1)/n for all_reduce (nccl-tests PERFORMANCE.md)

    friend bool operator==(const CollectiveRow&, const CollectiveRow&) = default;
};

struct RankDetail {
    std::int64_t rank = 0;
    std::string host;
    std::string device;
    double compute_seconds = 0;  ///< mean per step, all phases
    double lateness_seconds =
        0;  ///< mean per step: how much later than the earliest member it arrived, summed
    double step_seconds = 0;  ///< mean
    double compute_z =
        0;  ///< robust z-score of compute_seconds among the point's ranks of equal role
    double lateness_z = 0;
    std::int64_t resident_bytes = 0;  ///< resident set of the process after the run
    std::optional<TelemetrySummary> gpu{};

    friend bool operator==(const RankDetail&, const RankDetail&) = default;
};

struct Straggler {
    std::int64_t ranks = 0;  ///< the point's size
    std::int64_t rank = 0;
    std::string host;
    std::string device;
    std::string reason;  ///< "compute 23 % above the median of its peers (z = 8.1)"

    friend bool operator==(const Straggler&, const Straggler&) = default;
};

struct TimeToTrain {
    double tokens = 0;
    double seconds = 0;        ///< at this point's rate
    double ideal_seconds = 0;  ///< at the first point's rate per rank

    friend bool operator==(const TimeToTrain&, const TimeToTrain&) = default;
};

struct Point {
    std::int64_t ranks = 0;
    std::int64_t nodes = 0;
    Layout layout;
    std::int64_t global_batch = 0;   ///< sequences per step
    std::int64_t micro_batches = 0;  ///< per step and replica
    std::int64_t steps = 0;          ///< measured
    std::int64_t warmup_steps = 0;
    Verdict verdict = Verdict::converged;
    StepSeconds step_seconds;
    double tokens_per_second = 0;
    double tflops_per_rank =
        0;  ///< model FLOPs, full attention, per rank and second of the mean step
    std::optional<double> mfu;  ///< empty when the device's peak is unknown
    std::optional<double> hfu;
    std::optional<double> mfu_causal;  ///< attention counted half
    double efficiency = 0;             ///< [T(N)/N] / [T(N0)/N0]
    std::array<double, 2> efficiency_ci95{};
    Budget budget;  ///< mean over ranks and measured steps; adds up to step_seconds.mean
    Budget slowest_rank_budget;     ///< of the rank with the most compute
    Budget budget_spread;           ///< max - min over ranks, per category
    Budget loss;                    ///< category by category; adds up to 1 - efficiency
    double exposed_by_removal = 0;  ///< step minus the same step without communication, seconds
    std::vector<CollectiveRow> collectives;
    std::vector<MemoryItem> memory;  ///< of the rank that needs most
    std::vector<RankDetail> ranks_detail;
    std::int64_t reduced_values_checked = 0;
    std::int64_t reduced_values_wrong = 0;
    TimeToTrain time_to_train;
    /// Of all GPUs over the measured steps; empty when any rank's is unknown.
    std::optional<double> energy_joules{};
    std::optional<double> joules_per_token{};

    friend bool operator==(const Point&, const Point&) = default;
};

struct HostInfo {
    std::string name;
    std::string cpu;
    std::int64_t cores = 0;
    std::int64_t memory_bytes = 0;
    std::string kernel;
    std::string boot_id;

    friend bool operator==(const HostInfo&, const HostInfo&) = default;
};

/// One GPU of the job.
struct GpuInfo {
    std::string host;
    std::string name;
    std::string uuid;
    std::int64_t memory_bytes = 0;
    std::int64_t capability = 0;  ///< compute capability x 10: 90 for sm_90

    friend bool operator==(const GpuInfo&, const GpuInfo&) = default;
};

struct EnvironmentInfo {
    std::vector<HostInfo> hosts;
    std::string mpi;              ///< library version line
    std::string compute_library;  ///< "oneDNN 2.6.3"
    std::string binding;          ///< how ranks sit on cores
    std::string clock;            ///< how clocks were synchronised, with the residual error
    double clock_error_seconds = 0;
    std::map<std::string, std::string>
        env;                         ///< OMPI_*, OMP_*, SLURM_*, NCCL_*, TRAINDYNO_* found set
    std::vector<GpuInfo> devices{};  ///< that ranks compute on, each once
    std::map<std::string, std::string> gpu_libraries{};  ///< {"NCCL", "2.28.9"}
    std::vector<std::string> nccl{};  ///< lines of NCCL's log about the network it chose

    friend bool operator==(const EnvironmentInfo&, const EnvironmentInfo&) = default;
};

struct Study {
    std::string version;                ///< of traindyno, with git describe
    std::vector<std::string> commands;  ///< command line of every job merged here
    std::string created;                ///< ISO 8601, UTC
    EnvironmentInfo environment;
    Model model;
    double parameters = 0;
    double flops_per_token = 0;
    TrainingSetup setup;
    Scaling scaling = Scaling::weak;
    std::string device;   ///< cpu, timed
    std::string machine;  ///< profile name, or "" when compute is real
    Provenance provenance = Provenance::measured;
    std::vector<std::string>
        flags_raised;           ///< "oversubscribed: 8 ranks on 2 cores" ... shown on every page
    std::vector<Point> points;  ///< ascending in ranks
    std::vector<Straggler> stragglers;

    friend bool operator==(const Study&, const Study&) = default;
};

}  // namespace traindyno
