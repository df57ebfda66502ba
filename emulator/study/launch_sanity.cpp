// SPDX-License-Identifier: Apache-2.0
// The judgement; where the facts come from is in launch_facts.cpp.
#include "emulator/study/launch_sanity.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"

namespace traindyno {

namespace {

using Cores = std::vector<std::int32_t>;
/// Ranks that share one kernel and so one set of cores.
using Neighbours = std::vector<const RankFacts*>;

std::vector<Neighbours> neighbourhoods(const std::vector<RankFacts>& ranks) {
    std::map<std::string, std::size_t> index;
    std::vector<Neighbours> result;
    for (const RankFacts& facts : ranks) {
        const auto [place, is_new] = index.try_emplace(facts.boot_id, result.size());
        if (is_new) {
            result.emplace_back();
        }
        result[place->second].push_back(&facts);
    }
    return result;
}

std::string names(const Neighbours& ranks) {
    std::vector<std::int32_t> numbers;
    for (const RankFacts* facts : ranks) {
        numbers.push_back(facts->rank.value());
    }
    const std::set<std::string> hosts = [&] {
        std::set<std::string> all;
        for (const RankFacts* facts : ranks) {
            all.insert(facts->host);
        }
        return all;
    }();
    return fmt::format("{} {} on {}",
                       numbers.size() == 1 ? "rank" : "ranks",
                       ranges_text(numbers),
                       fmt::join(hosts, ", "));
}

std::int64_t threads_of(const Neighbours& ranks) {
    return std::accumulate(
        ranks.begin(), ranks.end(), std::int64_t{0}, [](std::int64_t sum, const RankFacts* facts) {
            return sum + facts->threads;
        });
}

bool overlap(const Cores& a, const Cores& b) {
    return std::any_of(a.begin(), a.end(), [&](std::int32_t core) {
        return std::binary_search(b.begin(), b.end(), core);
    });
}

Cores unite(const Cores& a, const Cores& b) {
    Cores both;
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    return both;
}

/// Ranks that compete for cores, directly or through others, and the cores they compete for.
struct Contest {
    Neighbours ranks;
    Cores cores;
};

std::vector<Contest> contests(const Neighbours& ranks) {
    std::vector<Contest> result;
    for (const RankFacts* facts : ranks) {
        Contest merged{.ranks = {facts}, .cores = facts->cores};
        std::vector<Contest> apart;
        for (Contest& other : result) {
            if (overlap(other.cores, merged.cores)) {
                merged.cores = unite(other.cores, merged.cores);
                other.ranks.insert(other.ranks.end(), merged.ranks.begin(), merged.ranks.end());
                merged.ranks = std::move(other.ranks);
            } else {
                apart.push_back(std::move(other));
            }
        }
        apart.push_back(std::move(merged));
        result = std::move(apart);
    }
    return result;
}

/// The part of a contest that has the fewest cores for its threads: all of it, or the ranks that
/// may run on the same cores exactly.
Contest tightest(const Contest& contest) {
    Contest result = contest;
    std::map<Cores, Neighbours> same;
    for (const RankFacts* facts : contest.ranks) {
        same[facts->cores].push_back(facts);
    }
    const auto load = [](const Neighbours& ranks, const Cores& cores) {
        return static_cast<double>(threads_of(ranks)) /
               std::max(1.0, static_cast<double>(cores.size()));
    };
    for (const auto& [cores, ranks] : same) {
        if (load(ranks, cores) > load(result.ranks, result.cores)) {
            result = {.ranks = ranks, .cores = cores};
        }
    }
    return result;
}

/// `ranks` have fewer cores, or less time on them, than threads: `available` says how little.
void report_oversubscription(const Neighbours& ranks,
                             const std::string& available,
                             const SanityPolicy& policy,
                             Findings& findings) {
    const std::string what = fmt::format(
        "oversubscribed: {} with {} threads for {}", names(ranks), threads_of(ranks), available);
    if (policy.compute == Compute::timed) {
        findings.notes.push_back(what);
    } else if (policy.oversubscription == Oversubscription::allowed) {
        findings.flags.push_back(what);
    } else {
        findings.refusals.push_back(
            what +
            " (ranks would be timed while they wait for a core) start fewer ranks or threads on "
            "the host, bind ranks to different cores, or pass --allow-oversubscribe to get "
            "results that are marked");
    }
}

void judge_load(const Contest& contest, const SanityPolicy& policy, Findings& findings) {
    report_oversubscription(contest.ranks,
                            fmt::format("{} {} ({})",
                                        contest.cores.size(),
                                        contest.cores.size() == 1 ? "core" : "cores",
                                        ranges_text(contest.cores)),
                            policy,
                            findings);
}

/// A control group's quota holds for all its processes together. Ranks of one kernel, host name and
/// quota are taken to be in one group: containers on a host have host names of their own.
void judge_quota(const Neighbours& ranks, const SanityPolicy& policy, Findings& findings) {
    std::map<std::pair<std::string, double>, Neighbours> groups;
    for (const RankFacts* facts : ranks) {
        if (facts->cpu_quota) {
            groups[{facts->host, *facts->cpu_quota}].push_back(facts);
        }
    }
    for (const auto& [group, members] : groups) {
        const double quota = group.second;
        if (static_cast<double>(threads_of(members)) > quota) {
            report_oversubscription(
                members,
                fmt::format("{:.3g} CPUs' worth of time (the quota of their control group)", quota),
                policy,
                findings);
        }
    }
}

void judge_binding(const Contest& contest, Findings& findings) {
    const RankFacts& first = *contest.ranks.front();
    const bool anywhere =
        std::all_of(contest.ranks.begin(), contest.ranks.end(), [](const RankFacts* facts) {
            return static_cast<std::int64_t>(facts->cores.size()) >= facts->host_cores;
        });
    findings.flags.push_back(fmt::format(
        "{}: {} may run on the same cores {} ({}) start with mpirun --map-by slot:PE={} --bind-to "
        "core, or srun --cpu-bind=cores --cpus-per-task={}",
        anywhere ? "unbound" : "shared cores",
        names(contest.ranks),
        ranges_text(contest.cores),
        "they move and get into each other's way",
        first.threads,
        first.threads));
}

void judge_cores(const Neighbours& ranks, const SanityPolicy& policy, Findings& findings) {
    for (const Contest& contest : contests(ranks)) {
        const Contest tight = tightest(contest);
        if (threads_of(tight.ranks) > static_cast<std::int64_t>(tight.cores.size())) {
            judge_load(tight, policy, findings);
        } else if (policy.compute == Compute::real && contest.ranks.size() > 1) {
            judge_binding(contest, findings);
        }
    }
}

/// A UUID belongs to one GPU of the world, whatever the hosts of its ranks call themselves.
void judge_gpus(const std::vector<RankFacts>& ranks,
                const SanityPolicy& policy,
                Findings& findings) {
    std::map<std::string, Neighbours> users;
    for (const RankFacts& facts : ranks) {
        if (!facts.gpu_uuid.empty()) {
            users[facts.gpu_uuid].push_back(&facts);
        }
    }
    for (const auto& [uuid, sharers] : users) {
        if (sharers.size() == 1) {
            continue;
        }
        const std::string gpu = fmt::format("GPU {} at {}", uuid, sharers.front()->gpu_pci_bus_id);
        if (policy.gpu_sharing == GpuSharing::allowed) {
            findings.flags.push_back(
                fmt::format("not a performance result: {} share {}", names(sharers), gpu));
        } else {
            findings.refusals.push_back(fmt::format(
                "shared GPU: {} compute on {} (they would be timed while they wait for each other) "
                "start at most as many ranks per node as it has GPUs, let each rank see its own "
                "GPU or all of them (srun --gpus-per-task=1 or --gpu-bind=none), or pass "
                "--share-gpu to get results that are marked",
                names(sharers),
                gpu));
        }
    }
}

void judge_launcher(const RankFacts& facts, Findings& findings) {
    if (facts.launcher && facts.launcher->size > facts.world_size) {
        findings.refusals.push_back(fmt::format(
            "{} processes were started but this job has {} ({} is {}, MPI_COMM_WORLD has {}: the "
            "launcher and the MPI library do not know each other) start with the mpirun that "
            "belongs to {}, or under Slurm with srun --mpi=pmix",
            facts.launcher->size,
            facts.world_size,
            facts.launcher->variable,
            facts.launcher->size,
            facts.world_size,
            facts.mpi.substr(0, facts.mpi.find(','))));
    }
}

/// Refuses ranks whose `value` differs from rank 0's.
template <class Value>
void judge_equal(const std::vector<RankFacts>& ranks,
                 Value&& value,
                 const char* what,
                 const char* advice,
                 Findings& findings) {
    Neighbours different;
    for (const RankFacts& facts : ranks) {
        if (value(facts) != value(ranks.front())) {
            different.push_back(&facts);
        }
    }
    if (!different.empty()) {
        findings.refusals.push_back(fmt::format("{} than rank 0 on {}: {} ({} against {}) {}",
                                                what,
                                                ranks.front().host,
                                                names(different),
                                                value(*different.front()),
                                                value(ranks.front()),
                                                advice));
    }
}

std::string hex(std::uint64_t hash) {
    return fmt::format("{:016x}", hash);
}

}  // namespace

Findings judge(const std::vector<RankFacts>& ranks, const SanityPolicy& policy) {
    TD_EXPECT(!ranks.empty());
    Findings findings;
    judge_launcher(ranks.front(), findings);
    judge_equal(
        ranks,
        [](const RankFacts& facts) { return hex(facts.executable_hash); },
        "a different traindyno binary",
        "install the same build on every host",
        findings);
    judge_equal(
        ranks,
        [](const RankFacts& facts) { return facts.mpi; },
        "a different MPI library",
        "make every host load the same one (LD_LIBRARY_PATH, modules)",
        findings);
    judge_equal(
        ranks,
        [](const RankFacts& facts) { return hex(facts.config_hash); },
        "a different configuration",
        "give every rank the same arguments, environment and configuration files",
        findings);
    for (const Neighbours& neighbours : neighbourhoods(ranks)) {
        judge_cores(neighbours, policy, findings);
        judge_quota(neighbours, policy, findings);
    }
    judge_gpus(ranks, policy, findings);
    return findings;
}

void Findings::throw_if_refused() const {
    if (!refusals.empty()) {
        throw LaunchError(fmt::format("{}", fmt::join(refusals, "\n")));
    }
}

Findings check_launch(Communicator& world, const RankFacts& mine, const SanityPolicy& policy) {
    const GroupRank root{0};
    const std::vector<std::string> texts = gather_text(world, root, to_text(mine));
    std::string verdict;
    if (world.rank() == root) {
        std::vector<RankFacts> ranks(texts.size());
        std::transform(texts.begin(), texts.end(), ranks.begin(), rank_facts_from_text);
        const Findings findings = judge(ranks, policy);
        verdict = nlohmann::json{findings.refusals, findings.flags, findings.notes}.dump();
    }
    const nlohmann::json told = nlohmann::json::parse(broadcast_text(world, root, verdict));
    return {.refusals = told.at(0), .flags = told.at(1), .notes = told.at(2)};
}

bool speaks_for_job(const RankFacts& mine) {
    const bool singleton = mine.world_size == 1 && mine.launcher;
    return mine.rank == WorldRank{0} && (!singleton || mine.launcher->rank == 0);
}

}  // namespace traindyno
