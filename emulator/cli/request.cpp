// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/request.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "emulator/cli/flag_reader.hpp"
#include "emulator/cli/gpu_request.hpp"
#include "emulator/cli/host_traffic.hpp"
#include "emulator/cli/workload_request.hpp"
#include "emulator/program/build.hpp"

namespace traindyno {

namespace {

enum class DeviceChoice : std::uint8_t { automatic, cpu, cuda, timed };

}  // namespace

template <>
struct EnumNames<DeviceChoice> {
    static constexpr auto names = enum_table<DeviceChoice>("auto", "cpu", "cuda", "timed");
};

namespace {

std::vector<std::int64_t> parse_points(const FlagReader& read,
                                       const std::string& text,
                                       std::int64_t ranks,
                                       Problems& problems) {
    std::set<std::int64_t> points;
    std::istringstream stream(text);
    for (std::string item; std::getline(stream, item, ',');) {
        const auto point = parse_whole(item);
        if (!point || *point < 1) {
            problems.add(
                fmt::format("{}: '{}' is not a rank count (points are whole numbers of at least 1) "
                            "write e.g. 1,2,4",
                            read.origin("points"),
                            item));
        } else if (*point > ranks) {
            problems.add(
                fmt::format("{}: {} ranks are more than the job has ({}) start it with mpirun -n "
                            "{} or leave the point out",
                            read.origin("points"),
                            *point,
                            ranks,
                            *point));
        } else {
            points.insert(*point);
        }
    }
    return {points.begin(), points.end()};
}

/// Powers of two times the smallest job that holds one replica, and the whole job.
std::vector<std::int64_t> default_points(std::int64_t replica, std::int64_t ranks) {
    std::vector<std::int64_t> points;
    for (std::int64_t point = replica; point < ranks; point *= 2) {
        points.push_back(point);
    }
    points.push_back(ranks);
    return points;
}

struct PointSize {
    std::int64_t ranks = 0;
    std::int64_t tp = 1;
    std::int64_t pp = 1;
    std::int64_t ep = 1;
    std::optional<std::int64_t> global_batch;
};

std::vector<PointSize> read_sizes(const Flags& flags,
                                  const FlagReader& read,
                                  const Workload& workload,
                                  std::int64_t ranks,
                                  Problems& problems) {
    std::vector<PointSize> sizes;
    for (const FlagPoint& point : flags.points) {
        const FlagReader own(point.values, problems);
        const auto size = own.whole("ranks", {.low = 1, .high = ranks});
        if (!size && !own.given("ranks")) {
            problems.add(
                "point: ranks is missing in a [[point]] of the study file (a point is a rank "
                "count) add ranks = N");
        }
        sizes.push_back({.ranks = size.value_or(1),
                         .tp = own.count("tp").value_or(workload.tp),
                         .pp = own.count("pp").value_or(workload.pp),
                         .ep = own.count("ep").value_or(workload.ep),
                         .global_batch = own.count("global-batch")});
    }
    if (!sizes.empty()) {
        if (read.given("points")) {
            problems.add(
                fmt::format("{}: given beside [[point]] tables (only one of them can say what is "
                            "measured) drop one",
                            read.origin("points")));
        }
        std::stable_sort(sizes.begin(), sizes.end(), [](const PointSize& a, const PointSize& b) {
            return a.ranks < b.ranks;
        });
        return sizes;
    }
    std::vector<std::int64_t> counts;
    if (flags.command == Command::run) {
        counts = {ranks};
    } else if (const auto text = read.text("points")) {
        counts = parse_points(read, *text, ranks, problems);
    } else {
        const std::int64_t replica = workload.tp * workload.cp * workload.pp;
        counts = default_points(std::min(replica * workload.ep, ranks), ranks);
    }
    for (const std::int64_t count : counts) {
        sizes.push_back({.ranks = count,
                         .tp = workload.tp,
                         .pp = workload.pp,
                         .ep = workload.ep,
                         .global_batch = {}});
    }
    return sizes;
}

std::optional<PlannedPoint> plan(const PointSize& size,
                                 const Workload& workload,
                                 Problems& problems) {
    const std::int64_t replica = size.tp * workload.cp * size.pp;
    if (size.ranks % replica != 0) {
        problems.add(
            fmt::format("{} ranks: not divisible into replicas of tp {} x cp {} x pp {} = {} ranks "
                        "(every replica needs all its ranks) use a multiple of {}",
                        size.ranks,
                        size.tp,
                        workload.cp,
                        size.pp,
                        replica,
                        replica));
        return std::nullopt;
    }
    PlannedPoint point{.ranks = size.ranks,
                       .layout = layout_of(workload, size.ranks / replica),
                       .global_batch = size.global_batch.value_or(0)};
    point.layout.tp = size.tp;
    point.layout.pp = size.pp;
    point.layout.ep = size.ep;
    return point;
}

void set_batches(const FlagReader& read,
                 MeasureRequest& request,
                 Command command,
                 Problems& problems) {
    const auto global = read.count("global-batch");
    const bool fixed_global = request.scaling == Scaling::strong || command == Command::run;
    if (read.given("global-batch") && !fixed_global) {
        problems.add(
            fmt::format("{}: does not go with weak scaling (the batch per replica is fixed there) "
                        "use --batch-per-replica, or --scaling strong",
                        read.origin("global-batch")));
    }
    if (read.given("global-batch") && read.given("batch-per-replica")) {
        problems.add(
            fmt::format("{}: given beside --batch-per-replica (each determines the other) drop one",
                        read.origin("global-batch")));
    }
    const std::int64_t per_replica = batch_per_replica(read, request.workload);
    const std::int64_t largest_dp = request.points.empty() ? 1 : request.points.back().layout.dp;
    for (PlannedPoint& point : request.points) {
        if (point.global_batch > 0) {
            continue;
        }
        point.global_batch = fixed_global ? global.value_or(per_replica * largest_dp)
                                          : per_replica * point.layout.dp;
    }
}

/// What cannot be trained, once per distinct problem.
void check_points(const MeasureRequest& request, Problems& problems) {
    std::set<std::string> seen;
    for (const PlannedPoint& point : request.points) {
        TrainingSetup setup = request.workload.setup;
        setup.global_batch = point.global_batch;
        for (const std::string& problem :
             problems_of(request.workload.model, point.layout, setup)) {
            if (seen.insert(problem).second) {
                problems.add(fmt::format(
                    "{} ranks ({}): {}", point.ranks, to_string(point.layout), problem));
            }
        }
    }
}

DeviceKind device_of(const FlagReader& read, const GpuInventory& gpus) {
    switch (read.choice<DeviceChoice>("device").value_or(DeviceChoice::automatic)) {
        case DeviceChoice::automatic:
            return gpus.devices.empty() ? DeviceKind::cpu : DeviceKind::cuda;
        case DeviceChoice::cpu:
            return DeviceKind::cpu;
        case DeviceChoice::cuda:
            return DeviceKind::cuda;
        case DeviceChoice::timed:
            return DeviceKind::timed;
    }
    return DeviceKind::cpu;
}

void read_machine(const FlagReader& read,
                  const GpuInventory& gpus,
                  MeasureRequest& request,
                  Problems& problems) {
    if (const auto name = read.text("machine")) {
        problems.collect([&] { request.machine = load_machine(*name); });
    }
    switch (request.device) {
        case DeviceKind::cpu:
            if (read.given("machine")) {
                problems.add(fmt::format(
                    "{}: does not go with --device cpu (its compute is real, not timed by a "
                    "profile) drop it, or use --device timed",
                    read.origin("machine")));
            }
            break;
        case DeviceKind::cuda:
            if (gpus.devices.empty()) {
                problems.add(fmt::format(
                    "{}: there is no GPU to use here ({}) use --device cpu, or --device timed with "
                    "--machine",
                    read.origin("device"),
                    gpus.problem));
            }
            break;
        case DeviceKind::timed:
            if (!read.given("machine")) {
                problems.add(fmt::format(
                    "--machine: missing (--device timed takes its compute times from a machine "
                    "profile) choose {}",
                    fmt::join(machine_names(), ", ")));
            }
            break;
    }
    request.threads = read.count("threads");
}

void read_measuring(const FlagReader& read, MeasureRequest& request) {
    constexpr double day = 86400;
    MeasureOptions& measure = request.measure;
    measure.steps = read.count("steps");
    measure.warmup = read.whole("warmup", {.low = 0, .high = largest_count});
    measure.ci = read.number("ci", {.low = 1e-6, .high = 1}).value_or(measure.ci);
    measure.max_seconds =
        read.number("max-seconds", {.low = 0.001, .high = day}).value_or(measure.max_seconds);
    measure.timeout_seconds =
        read.number("timeout", {.low = 1, .high = day}).value_or(measure.timeout_seconds);
    measure.seed =
        static_cast<std::uint64_t>(read.whole("seed", {.low = 0, .high = largest_count})
                                       .value_or(static_cast<std::int64_t>(measure.seed)));
    measure.tracing = read.choice<Tracing>("tracing").value_or(measure.tracing);
    request.min_efficiency = read.number("min-efficiency", {.low = 0, .high = 10});
}

/// What the device is at home in.
Precision default_precision(DeviceKind device) {
    return device == DeviceKind::cpu ? Precision::fp32 : Precision::bf16;
}

}  // namespace

bool may_use_gpu(const Flags& flags) {
    const FlagValue* device = flags.find("device");
    return device == nullptr || device->text == "auto" || device->text == "cuda";
}

MeasureRequest measure_request(const Flags& flags,
                               std::int64_t ranks,
                               const GpuInventory& gpus,
                               Problems& problems) {
    const FlagReader read(flags.values, problems);
    MeasureRequest request;
    request.device = device_of(read, gpus);
    request.workload = read_workload(flags, read, default_precision(request.device), problems);
    request.scaling = read.choice<Scaling>("scaling").value_or(Scaling::weak);
    read_machine(read, gpus, request, problems);
    read_measuring(read, request);
    read_gpu(read, gpus, request, problems);
    read_host_traffic(read, request, problems);
    request.allow_oversubscribe = read.given("allow-oversubscribe");
    request.resume = read.given("resume");
    request.json = read.given("json");
    request.out = read.text("out").value_or("");
    if (request.out.empty() && flags.command == Command::scale && !read.given("out")) {
        problems.add(
            "--out: missing (points are written there as they complete) name a folder, e.g. --out "
            "results");
    }
    if (request.resume && request.out.empty()) {
        problems.add("--resume: needs --out (the folder whose points are kept) add it");
    }
    for (const PointSize& size : read_sizes(flags, read, request.workload, ranks, problems)) {
        if (const auto point = plan(size, request.workload, problems)) {
            request.points.push_back(*point);
        }
    }
    set_batches(read, request, flags.command, problems);
    if (problems.empty()) {
        check_points(request, problems);
    }
    problems.throw_if_any();
    return request;
}

}  // namespace traindyno
