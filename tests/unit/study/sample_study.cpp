// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/study/sample_study.hpp"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "emulator/study/analysis.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno::test {

namespace {

constexpr std::int64_t mebi = 1024 * 1024;

Model gpt3_125m() {
    return {.name = "gpt3-125m",
            .layers = 12,
            .hidden = 768,
            .heads = 12,
            .kv_heads = 12,
            .head_size = 64,
            .ffn = 3072,
            .seq = 2048,
            .vocab = 50257,
            .nominal_parameters = 125e6};
}

EnvironmentInfo two_hosts() {
    const auto host = [](const std::string& name) {
        return HostInfo{.name = name,
                        .cpu = "AMD EPYC 7B13 64-Core Processor",
                        .cores = 4,
                        .memory_bytes = 16384 * mebi,
                        .kernel = "Linux 6.1.0-18-amd64",
                        .boot_id = "0b9d-" + name};
    };
    return {.hosts = {host("node-a"), host("node-b")},
            .mpi = "Open MPI v4.1.4, package: Debian Open MPI",
            .compute_library = "oneDNN 2.6.3",
            .binding = "1 core per rank, bound by mpirun --bind-to core",
            .clock = "ping-pong offsets with linear drift, residual error 1.8 us",
            .clock_error_seconds = 1.8e-6,
            .env = {{"OMPI_MCA_btl", "tcp,self"}, {"OMP_NUM_THREADS", "1"}}};
}

std::vector<RankDetail> rank_details(const Point& point, double compute_seconds) {
    std::vector<RankDetail> ranks;
    for (std::int64_t rank = 0; rank < point.ranks; ++rank) {
        const double wobble = 1 + 0.004 * std::sin(1.7 * static_cast<double>(rank));
        ranks.push_back({.rank = rank,
                         .host = rank * 2 < point.ranks ? "node-a" : "node-b",
                         .device = fmt::format("AMD EPYC 7B13, core {}", rank % 4),
                         .compute_seconds = compute_seconds * wobble,
                         .lateness_seconds = 0.01 * compute_seconds * wobble,
                         .step_seconds = point.step_seconds.mean,
                         .resident_bytes = 2600 * mebi});
    }
    return ranks;
}

void add_wait(Point& point, Category category, double seconds) {
    point.budget[category] = seconds;
    point.slowest_rank_budget[category] = 0.8 * seconds;
    point.budget_spread[category] = 0.3 * seconds;
}

std::vector<MemoryItem> memory_of_125m() {
    constexpr std::int64_t parameters = 125'226'240;
    return {{.name = "weights", .bytes = Bytes{4 * parameters}},
            {.name = "gradients", .bytes = Bytes{4 * parameters}},
            {.name = "master_weights", .bytes = Bytes{4 * parameters}},
            {.name = "adam_m", .bytes = Bytes{4 * parameters}},
            {.name = "adam_v", .bytes = Bytes{4 * parameters}},
            {.name = "activations", .bytes = Bytes{1310 * mebi}},
            {.name = "workspace", .bytes = Bytes{206 * mebi}}};
}

CollectiveRow all_reduce(std::string group,
                         std::int64_t ranks,
                         std::int64_t bytes,
                         double seconds) {
    const double algbw = static_cast<double>(bytes) / seconds * 1e-9;
    const auto n = static_cast<double>(ranks);
    return {.kind = "all_reduce",
            .group = std::move(group),
            .algorithm = "ring",
            .ranks = ranks,
            .count = 21,
            .bytes = bytes,
            .seconds = seconds,
            .algbw_gbs = algbw,
            .busbw_gbs = algbw * 2 * (n - 1) / n};
}

Study empty_study() {
    Study study{.version = "0.1.0-12-gabc1234",
                .commands = {},
                .created = "2025-06-01T12:00:00Z",
                .environment = two_hosts(),
                .model = gpt3_125m(),
                .parameters = 125'226'240,
                .flops_per_token = 9.75e8,
                .setup = {},
                .scaling = Scaling::weak,
                .device = "cpu",
                .machine = "",
                .provenance = Provenance::measured,
                .flags_raised = {},
                .points = {},
                .stragglers = {}};
    study.setup.micro_batch = 2;
    return study;
}

}  // namespace

std::vector<double> step_times(double mean_seconds, std::int64_t count, double spread) {
    std::vector<double> times(static_cast<std::size_t>(count), mean_seconds);
    // Equal deviations up and down leave the mean where it is.
    for (std::size_t i = 0; i + 1 < times.size(); i += 2) {
        const double share = std::pow(static_cast<double>(i + 2) / static_cast<double>(count), 3);
        times[i] += mean_seconds * spread * share;
        times[i + 1] -= mean_seconds * spread * share;
    }
    return times;
}

Point sample_point(const Layout& layout,
                   std::int64_t global_batch,
                   double compute_seconds,
                   const Overheads& overheads) {
    Point point;
    point.layout = layout;
    point.ranks = layout.ranks();
    point.nodes = point.ranks > 4 ? 2 : 1;
    point.global_batch = global_batch;
    point.micro_batches = global_batch / layout.dp;
    point.warmup_steps = 7;
    point.budget[Category::compute_forward] = compute_seconds / 3;
    point.budget[Category::compute_backward] = compute_seconds * 0.6;
    point.budget[Category::compute_optimizer] = compute_seconds * (1 - 0.6 - 1.0 / 3);
    point.slowest_rank_budget = point.budget * 1.02;
    point.budget_spread = point.budget * 0.03;
    add_wait(point, Category::exposed_dp, overheads.exposed_dp * compute_seconds);
    add_wait(point, Category::wait_dp, overheads.wait_dp * compute_seconds);
    add_wait(point, Category::exposed_tp, overheads.exposed_tp * compute_seconds);
    add_wait(point, Category::bubble, overheads.bubble * compute_seconds);
    add_wait(point, Category::compute_slowdown, overheads.compute_slowdown * compute_seconds);
    add_wait(point, Category::launch_gap, 0.002 * compute_seconds);
    add_wait(point, Category::residual, 0.001 * compute_seconds);
    const double step = point.budget.total();
    point.step_seconds = summarize(step_times(step, 48, 0.03));
    point.exposed_by_removal =
        (overheads.exposed_dp + overheads.exposed_tp + overheads.bubble + 0.9 * overheads.wait_dp) *
        compute_seconds;
    point.ranks_detail = rank_details(point, compute_seconds);
    point.memory = memory_of_125m();
    point.reduced_values_checked = point.ranks > 1 ? 118'272 : 0;
    return point;
}

Study weak_study() {
    Study study = empty_study();
    study.commands = {
        "mpirun -n 8 --hostfile hosts traindyno scale --model gpt3-125m --points 1,2,4,8 --out r1"};
    const std::array<Overheads, 4> overheads{
        Overheads{},
        {.exposed_dp = 0.05, .wait_dp = 0.005, .compute_slowdown = 0.01},
        {.exposed_dp = 0.09, .wait_dp = 0.01, .compute_slowdown = 0.02},
        {.exposed_dp = 0.14, .wait_dp = 0.04, .compute_slowdown = 0.03}};
    std::int64_t ranks = 1;
    for (const Overheads& overhead : overheads) {
        Point point = sample_point({.dp = ranks}, 2 * ranks, 3.2, overhead);
        point.mfu = 0.412 / (1 + overhead.exposed_dp);
        point.hfu = point.mfu;
        point.mfu_causal = *point.mfu * 0.93;
        if (ranks > 1) {
            point.collectives = {all_reduce("dp", ranks, 500'904'960, 0.31)};
        }
        study.points.push_back(std::move(point));
        ranks *= 2;
    }
    RankDetail& slow = study.points.back().ranks_detail.at(5);
    slow.compute_seconds *= 1.11;
    slow.lateness_seconds *= 24;
    complete(study);
    return study;
}

Study gpu_study() {
    Study study = weak_study();
    study.device = "cuda";
    study.environment.gpu_libraries = {{"CUDA driver", "13.0"}, {"NCCL", "2.28.9"}};
    study.environment.nccl = {"NET/IB : Using [0]mlx5_0:1/IB"};
    for (std::int64_t rank = 0; rank < 8; ++rank) {
        study.environment.devices.push_back({.host = rank < 4 ? "node-a" : "node-b",
                                             .name = "NVIDIA H200",
                                             .uuid = fmt::format("GPU-{}", rank),
                                             .memory_bytes = 143'771 * mebi,
                                             .capability = 90});
    }
    for (Point& point : study.points) {
        const double seconds = point.step_seconds.mean * static_cast<double>(point.steps);
        for (RankDetail& rank : point.ranks_detail) {
            rank.gpu = TelemetrySummary{.uuid = fmt::format("GPU-{}", rank.rank),
                                        .seconds = seconds,
                                        .samples = 3000,
                                        .energy_joules = 500 * seconds,
                                        .mean_sm_clock_mhz = 1755,
                                        .min_sm_clock_mhz = 1620,
                                        .max_sm_clock_mhz = 1980,
                                        .sm_clock_limit_mhz = 1980,
                                        .mean_power_watts = 500,
                                        .power_limit_watts = 700,
                                        .max_temperature_c = 64,
                                        .slowdowns = {{.reason = "power cap", .share = 0.25}}};
        }
        point.energy_joules = 500 * seconds * static_cast<double>(point.ranks);
        point.joules_per_token =
            *point.energy_joules /
            static_cast<double>(point.steps * point.global_batch * study.model.seq);
    }
    TelemetrySummary& hot = *study.points.back().ranks_detail.at(3).gpu;
    hot.mean_sm_clock_mhz = 1400;
    hot.max_temperature_c = 88;
    hot.slowdowns.insert(hot.slowdowns.begin(),
                         {.reason = "thermal slowdown by the hardware", .share = 0.9});
    return study;
}

Study strong_study() {
    Study study = empty_study();
    study.commands = {
        "mpirun -n 64 traindyno scale --model gpt3-1.3b --device timed --machine dgx-a100 --tp 2 "
        "--pp 2 --points 4,8,16,32,64 --scaling strong --global-batch 64 --out r2"};
    study.model.name = "gpt3-1.3b";
    study.model.layers = 24;
    study.model.hidden = 2048;
    study.scaling = Scaling::strong;
    study.device = "timed";
    study.machine = "dgx-a100";
    study.parameters = 1.3157e9;
    study.flops_per_token = 9.1e9;
    study.setup.global_batch = 64;
    study.setup.precision = Precision::bf16;
    study.flags_raised = {"oversubscribed: 64 ranks on 8 cores (timed compute needs no core)"};
    double compute = 3.0;
    for (std::int64_t dp = 1; dp <= 16; dp *= 2) {
        const auto grown = static_cast<double>(dp);
        Point point = sample_point({.tp = 2, .dp = dp, .pp = 2},
                                   64,
                                   compute,
                                   {.exposed_dp = dp > 1 ? 0.02 * grown : 0,
                                    .wait_dp = 0.003 * grown,
                                    .exposed_tp = 0.08,
                                    .bubble = grown / 64});
        point.collectives = {all_reduce("tp", 2, 805'306'368, 0.09),
                             all_reduce("model", 4, 4, 3e-5)};
        if (dp > 1) {
            point.collectives.push_back(all_reduce("dp", dp, 1'315'700'000, 0.11));
        }
        study.points.push_back(std::move(point));
        compute /= 2;
    }
    study.points.back().verdict = Verdict::not_enough_samples;
    complete(study);
    return study;
}

}  // namespace traindyno::test
