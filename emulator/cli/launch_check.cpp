// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/launch_check.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "collectives/mpi/session.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"
#include "emulator/cli/gpu_search.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/gpu/device_choice.hpp"
#include "emulator/study/launch_sanity.hpp"
#include "emulator/trace/clock_sync.hpp"

namespace traindyno {

namespace {

/// Ranks listed one by one in the binding text; more would fill the page.
constexpr std::size_t listed_ranks = 16;

/// Whatever must be equal on all ranks, files included.
std::uint64_t config_hash(const MeasureRequest& request, const std::string& arguments) {
    const Model& model = request.workload.model;
    std::string text = fmt::format("{} {} {} {} {} {} {}",
                                   arguments,
                                   parameters(model),
                                   model.layers,
                                   model.heads,
                                   model.seq,
                                   model.vocab,
                                   request.workload.setup.micro_batch);
    for (const PlannedPoint& point : request.points) {
        text += fmt::format(" {}:{}:{}", point.ranks, to_string(point.layout), point.global_batch);
    }
    if (request.machine) {
        text +=
            fmt::format(" {} {}",
                        request.machine->name,
                        gemm_rate(*request.machine, request.workload.setup.precision).peak.value());
    }
    return content_hash(text);
}

std::vector<RankFacts> gather_facts(Communicator& world, const RankFacts& mine) {
    std::vector<RankFacts> facts;
    for (const std::string& text : all_gather_text(world, to_text(mine))) {
        facts.push_back(rank_facts_from_text(text));
    }
    return facts;
}

/// Cores for this rank: its own where the launcher gave each rank its own, else a share of what the
/// ranks of its host may use together: of what is next to its GPU, if possible.
std::vector<int> cores_for(const RankFacts& mine, const std::vector<RankFacts>& neighbours) {
    std::set<int> together;
    std::size_t claimed = 0;
    std::int64_t local_rank = 0;
    std::vector<std::vector<int>> near;  // by local rank
    for (const RankFacts& neighbour : neighbours) {
        near.emplace_back(neighbour.cores_near_gpu.begin(), neighbour.cores_near_gpu.end());
        together.insert(neighbour.cores.begin(), neighbour.cores.end());
        claimed += neighbour.cores.size();
        local_rank += neighbour.rank < mine.rank ? 1 : 0;
    }
    if (claimed == together.size()) {
        return {mine.cores.begin(), mine.cores.end()};
    }
    return near_share(near, {together.begin(), together.end()}, local_rank);
}

bool share_host(const RankFacts& a, const RankFacts& b) {
    return a.boot_id == b.boot_id && a.host == b.host;
}

std::vector<RankFacts> neighbours_of(const RankFacts& mine, const std::vector<RankFacts>& facts) {
    std::vector<RankFacts> neighbours;
    std::copy_if(
        facts.begin(), facts.end(), std::back_inserter(neighbours), [&](const RankFacts& other) {
            return share_host(mine, other);
        });
    return neighbours;
}

/// The facts as they will be once every rank keeps to its share of the cores.
std::vector<RankFacts> placed(const std::vector<RankFacts>& facts) {
    std::vector<RankFacts> after = facts;
    for (RankFacts& rank : after) {
        const auto cores = cores_for(rank, neighbours_of(rank, facts));
        rank.cores.assign(cores.begin(), cores.end());
    }
    return after;
}

std::string binding_text(const std::vector<RankFacts>& facts) {
    std::string text;
    for (std::size_t r = 0; r < std::min(facts.size(), listed_ranks); ++r) {
        const auto cores = cores_for(facts[r], neighbours_of(facts[r], facts));
        text += fmt::format(
            "{}rank {}: {} cores {}", r > 0 ? "; " : "", r, facts[r].host, ranges_text(cores));
    }
    return facts.size() > listed_ranks
               ? fmt::format("{}; and {} more", text, facts.size() - listed_ranks)
               : text;
}

/// More ranks than cores on some host: nobody may poll there.
Waiting waiting_for(const std::vector<RankFacts>& facts) {
    for (const RankFacts& rank : facts) {
        std::set<int> cores;
        const auto neighbours = neighbours_of(rank, facts);
        for (const RankFacts& neighbour : neighbours) {
            cores.insert(neighbour.cores.begin(), neighbour.cores.end());
        }
        if (neighbours.size() > cores.size()) {
            return Waiting::sleep;
        }
    }
    return Waiting::poll;
}

/// Compute timed at the rate of another precision is less than it seems.
void add_substitution(const MeasureRequest& request, LaunchVerdict& verdict) {
    if (request.device == DeviceKind::timed) {
        std::string text = substitution(*request.machine, request.workload.setup.precision);
        if (!text.empty()) {
            verdict.flags.push_back(std::move(text));
        }
    }
}

void describe_clock(Communicator& world, LaunchVerdict& verdict) {
    const ClockReading reading = synchronize(world, now);
    double error = 0;
    for (const std::string& text :
         all_gather_text(world, fmt::format("{}", to_seconds(reading.error)))) {
        error = std::max(error, std::stod(text));
    }
    verdict.clock_error_seconds = error;
    verdict.clock = error > 0 ? fmt::format("offsets to rank 0 by ping-pong, error up to {:.1f} us",
                                            error * 1e6)
                              : "one monotonic clock shared by all ranks";
}

RankFacts facts_of(Communicator& world,
                   const MeasureRequest& request,
                   const std::optional<GpuDescription>& gpu,
                   const std::string& arguments) {
    RankIntent intent{.rank = WorldRank{world.rank().value()},
                      .world_size = world.size(),
                      .threads = request.threads.value_or(1),
                      .mpi = MpiSession::version(),
                      .config_hash = config_hash(request, arguments)};
    if (gpu) {
        const std::vector<int> near = cores_near(gpu->pci_bus_id);
        intent.gpu_uuid = gpu->uuid;
        intent.gpu_pci_bus_id = gpu->pci_bus_id;
        intent.cores_near_gpu.assign(near.begin(), near.end());
    }
    return facts_of_this_process(intent);
}

SanityPolicy policy_of(const MeasureRequest& request) {
    return {.compute = request.device == DeviceKind::timed ? Compute::timed : Compute::real,
            .oversubscription =
                request.allow_oversubscribe ? Oversubscription::allowed : Oversubscription::refused,
            .gpu_sharing = request.gpu.groups.front().nccl.sharing};
}

}  // namespace

LaunchVerdict inspect_launch(Communicator& world,
                             const MeasureRequest& request,
                             const GpuInventory& gpus,
                             const std::string& arguments) {
    const std::optional<GpuDescription> gpu =
        request.device == DeviceKind::cuda ? std::optional(gpu_of_rank(world, gpus)) : std::nullopt;
    const RankFacts mine = facts_of(world, request, gpu, arguments);
    const std::vector<RankFacts> facts = gather_facts(world, mine);
    const Findings findings = judge(placed(facts), policy_of(request));
    findings.throw_if_refused();
    const auto neighbours = neighbours_of(mine, facts);
    LaunchVerdict verdict;
    verdict.resources = {.cores = cores_for(mine, neighbours),
                         .local_size = static_cast<std::int64_t>(neighbours.size()),
                         .host = mine.host,
                         .tuning = std::make_shared<TuningTable>(),
                         .gpu = gpu};
    verdict.waiting = waiting_for(facts);
    for (const RankFacts& rank : facts) {
        verdict.hosts.push_back(rank.host);
    }
    verdict.flags = findings.flags;
    verdict.notes = findings.notes;
    add_substitution(request, verdict);
    verdict.binding = binding_text(facts);
    describe_clock(world, verdict);
    return verdict;
}

}  // namespace traindyno
