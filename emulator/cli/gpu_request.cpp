// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/gpu_request.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <sstream>

#include <fmt/format.h>

namespace traindyno {

namespace {

enum class Collectives : std::uint8_t { automatic, nccl, mpi };

constexpr std::array gpu_flags{"graph",
                               "data",
                               "nccl-ctas",
                               "nccl-priority",
                               "nccl-register",
                               "reserve-sms",
                               "plan-cache",
                               "share-gpu"};

constexpr std::array kinds{GroupKind::tp,
                           GroupKind::cp,
                           GroupKind::ep,
                           GroupKind::dp,
                           GroupKind::dp_shard,
                           GroupKind::dp_replicate,
                           GroupKind::expert_dp,
                           GroupKind::pp,
                           GroupKind::embedding,
                           GroupKind::model};

/// NCCL's own limit (user guide, NCCL_MAX_CTAS).
constexpr std::int64_t most_ctas = 64;

}  // namespace

template <>
struct EnumNames<Collectives> {
    static constexpr auto names = enum_table<Collectives>("auto", "nccl", "mpi");
};

namespace {

/// "tp=8,dp=4": calls `set(kind, text)` for each, which returns whether the text is right.
void read_per_kind(const FlagReader& read,
                   std::string_view name,
                   std::string_view example,
                   const std::function<bool(GroupKind, const std::string&)>& set,
                   Problems& problems) {
    const auto text = read.text(name);
    if (!text) {
        return;
    }
    std::istringstream items(*text);
    for (std::string item; std::getline(items, item, ',');) {
        const std::size_t equals = item.find('=');
        const auto kind = parse_enum<GroupKind>(item.substr(0, equals));
        const bool known = kind && std::find(kinds.begin(), kinds.end(), *kind) != kinds.end();
        if (equals == std::string::npos || !known || !set(*kind, item.substr(equals + 1))) {
            problems.add(fmt::format(
                "{}: '{}' is not understood (kind=value, with the kinds tp, dp, pp, embedding, "
                "model) write e.g. {}",
                read.origin(name),
                item,
                example));
        }
    }
}

GroupTraffic& traffic_of(GpuOptions& options, GroupKind kind) {
    return options.groups[static_cast<std::size_t>(kind)];
}

void read_groups(const FlagReader& read, GpuOptions& options, Problems& problems) {
    read_per_kind(
        read,
        "nccl-ctas",
        "tp=16,dp=4",
        [&](GroupKind kind, const std::string& text) {
            const auto ctas = parse_whole(text);
            if (!ctas || *ctas < 1 || *ctas > most_ctas) {
                return false;
            }
            traffic_of(options, kind).nccl.max_ctas = static_cast<std::int32_t>(*ctas);
            return true;
        },
        problems);
    read_per_kind(
        read,
        "nccl-priority",
        "tp=highest,dp=normal",
        [&](GroupKind kind, const std::string& text) {
            const auto priority = parse_enum<StreamPriority>(text);
            if (priority) {
                traffic_of(options, kind).priority = *priority;
            }
            return priority.has_value();
        },
        problems);
}

GpuOptions read_options(const FlagReader& read, Problems& problems) {
    GpuOptions options;
    const auto collectives =
        read.choice<Collectives>("collectives").value_or(Collectives::automatic);
    options.collectives =
        collectives == Collectives::mpi ? GpuCollectives::mpi : GpuCollectives::nccl;
    options.launch = read.given("graph") ? StepLaunch::graph : StepLaunch::eager;
    if (options.launch == StepLaunch::graph && options.collectives == GpuCollectives::mpi) {
        problems.add(fmt::format(
            "{}: does not go with --collectives mpi (the host drives its steps, a graph "
            "has no host in it) drop one of them",
            read.origin("graph")));
    }
    options.device.data = read.choice<InputData>("data").value_or(InputData::normal);
    read_groups(read, options, problems);
    // Data-parallel reductions run beside compute: what they hold is not there for products.
    const std::int64_t beside = traffic_of(options, GroupKind::dp).nccl.max_ctas;
    constexpr std::int64_t most_reserved = 128;
    options.device.reserved_sms = static_cast<int>(
        read.whole("reserve-sms", {.low = 0, .high = most_reserved}).value_or(beside));
    options.device.plan_cache = read.text("plan-cache").value_or(default_plan_cache());
    return options;
}

void refuse_flags(const FlagReader& read, Problems& problems) {
    for (const char* name : gpu_flags) {
        if (read.given(name)) {
            problems.add(
                fmt::format("{}: needs --device cuda (nothing of this job runs on a GPU) drop it",
                            read.origin(name)));
        }
    }
}

/// Of the machine named, or of the shipped profile with this GPU; 0 when neither is known.
FlopRate peak_of(const MeasureRequest& request, const GpuInventory& gpus) {
    const auto machine = request.machine || gpus.devices.empty()
                             ? request.machine
                             : machine_with_device(gpus.devices.front().name);
    return machine ? gemm_rate(*machine, request.workload.setup.precision).peak : FlopRate{0};
}

}  // namespace

void read_gpu(const FlagReader& read,
              const GpuInventory& gpus,
              MeasureRequest& request,
              Problems& problems) {
    if (request.device != DeviceKind::cuda) {
        refuse_flags(read, problems);
        return;
    }
    request.gpu = read_options(read, problems);
    const std::int64_t chunks = request.workload.setup.virtual_stages;
    if (request.gpu.collectives == GpuCollectives::nccl && chunks > 1) {
        problems.add(fmt::format(
            "{}: {} chunks per stage do not go with NCCL in this version (it joins neighbouring "
            "stages only, chunks also send from the last to the first) use --collectives mpi",
            read.origin("virtual-stages"),
            chunks));
    }
    request.gpu.device.precision = request.workload.setup.precision;
    request.gpu.device.seed = static_cast<unsigned>(request.measure.seed);
    request.gpu.device.peak = peak_of(request, gpus);
    const Registration registration =
        read.choice<Registration>("nccl-register").value_or(Registration::off);
    for (GroupTraffic& group : request.gpu.groups) {
        group.registration = registration;
        group.nccl.timeout = from_seconds(request.measure.timeout_seconds);
        group.nccl.sharing = read.given("share-gpu") ? GpuSharing::allowed : GpuSharing::refused;
    }
}

std::string default_plan_cache() {
    // Read once, before any thread starts.
    const char* cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe)
    const char* home = std::getenv("HOME");             // NOLINT(concurrency-mt-unsafe)
    const std::string file = "traindyno/matmul_plans.json";
    if (cache != nullptr && *cache != '\0') {
        return fmt::format("{}/{}", cache, file);
    }
    return home != nullptr && *home != '\0' ? fmt::format("{}/.cache/{}", home, file) : "";
}

}  // namespace traindyno
