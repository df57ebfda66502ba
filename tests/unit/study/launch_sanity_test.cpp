// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/launch_sanity.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

using Cores = std::vector<std::int32_t>;

Cores cores(std::int32_t first, std::int32_t count) {
    Cores result(static_cast<std::size_t>(count));
    std::iota(result.begin(), result.end(), first);
    return result;
}

/// `count` ranks of one thread on host h1 with 8 cores, each on a core of its own.
std::vector<RankFacts> healthy(std::int64_t count) {
    std::vector<RankFacts> ranks;
    for (std::int64_t rank = 0; rank < count; ++rank) {
        ranks.push_back(
            {.rank = WorldRank{rank},
             .world_size = count,
             .host = "h1",
             .boot_id = "boot1",
             .pid = 100 + rank,
             .cores = {static_cast<std::int32_t>(rank)},
             .host_cores = 8,
             .threads = 1,
             .launcher =
                 LauncherClaim{.variable = "OMPI_COMM_WORLD_SIZE", .size = count, .rank = rank},
             .mpi = "Open MPI v4.1.4, package: Debian",
             .executable_hash = 0xabc,
             .config_hash = 0xdef});
    }
    return ranks;
}

std::vector<RankFacts> with(std::vector<RankFacts> ranks, void (*change)(RankFacts&)) {
    std::for_each(ranks.begin(), ranks.end(), change);
    return ranks;
}

/// What each list of the findings must contain, text by text; the lists have no other entries.
struct Case {
    std::string name;
    std::vector<RankFacts> ranks;
    SanityPolicy policy;
    std::vector<std::string> refusals;
    std::vector<std::string> flags;
    std::vector<std::string> notes;
};

std::ostream& operator<<(std::ostream& out, const Case& sample) {
    return out << sample.name;
}

class LaunchSanity : public testing::TestWithParam<Case> {};

void expect_texts(const std::vector<std::string>& found,
                  const std::vector<std::string>& expected,
                  const char* kind) {
    EXPECT_EQ(found.size(), expected.size())
        << kind << ": " << fmt::format("{}", fmt::join(found, " | "));
    for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
        EXPECT_NE(found[i].find(expected[i]), std::string::npos) << kind << ": " << found[i];
    }
}

TEST_P(LaunchSanity, finds_exactly_what_is_wrong) {
    const Findings findings = judge(GetParam().ranks, GetParam().policy);
    expect_texts(findings.refusals, GetParam().refusals, "refusals");
    expect_texts(findings.flags, GetParam().flags, "flags");
    expect_texts(findings.notes, GetParam().notes, "notes");
}

constexpr SanityPolicy strict{};
constexpr SanityPolicy insisting{.oversubscription = Oversubscription::allowed};
constexpr SanityPolicy timed{.compute = Compute::timed};

std::vector<Case> core_cases() {
    const auto all_cores = [](RankFacts& facts) { facts.cores = cores(0, 8); };
    const auto first_core = [](RankFacts& facts) { facts.cores = {0}; };
    const auto two_cores = [](RankFacts& facts) {
        facts.cores = cores(0, 2);
        facts.host_cores = 2;
    };
    const auto pairs = [](RankFacts& facts) { facts.cores = cores(facts.rank.value() / 2 * 2, 2); };
    const auto own_hosts = [](RankFacts& facts) {
        facts.host = fmt::format("h{}", facts.rank.value());
        facts.boot_id = facts.host;
        facts.cores = cores(0, 8);
    };
    const auto one_kernel = [](RankFacts& facts) {
        facts.host = fmt::format("h{}", facts.rank.value());
        facts.cores = cores(0, 2);
        facts.host_cores = 2;
    };
    const auto eight_threads = [](RankFacts& facts) {
        facts.threads = 8;
        facts.cores = cores(0, 8);
    };
    const auto chain = [](RankFacts& facts) { facts.cores = cores(facts.rank.value(), 2); };
    return {
        {"one_core_each", healthy(8), strict, {}, {}, {}},
        {"alone_on_the_host", with(healthy(1), all_cores), strict, {}, {}, {}},
        {"a_host_each", with(healthy(4), own_hosts), strict, {}, {}, {}},
        {"more_ranks_than_cores",
         with(healthy(8), two_cores),
         strict,
         {"oversubscribed: ranks 0-7 on h1 with 8 threads for 2 cores (0-1) (ranks would be timed"},
         {},
         {}},
        {"more_ranks_than_cores_by_request",
         with(healthy(8), two_cores),
         insisting,
         {},
         {"oversubscribed: ranks 0-7 on h1 with 8 threads for 2 cores (0-1)"},
         {}},
        {"more_ranks_than_cores_while_timed",
         with(healthy(8), two_cores),
         timed,
         {},
         {},
         {"oversubscribed: ranks 0-7 on h1 with 8 threads for 2 cores (0-1)"}},
        {"more_threads_than_cores",
         with(healthy(2), eight_threads),
         strict,
         {"ranks 0-1 on h1 with 16 threads for 8 cores"},
         {},
         {}},
        {"all_on_one_core_of_eight",
         with(healthy(3), first_core),
         strict,
         {"ranks 0-2 on h1 with 3 threads for 1 core (0)"},
         {},
         {}},
        {"hosts_of_one_kernel_share_its_cores",
         with(healthy(4), one_kernel),
         strict,
         {"ranks 0-3 on h0, h1, h2, h3 with 4 threads for 2 cores"},
         {},
         {}},
        {"not_bound",
         with(healthy(4), all_cores),
         strict,
         {},
         {"unbound: ranks 0-3 on h1 may run on the same cores 0-7 "},
         {}},
        {"not_bound_while_timed", with(healthy(4), all_cores), timed, {}, {}, {}},
        {"bound_in_pairs",
         with(healthy(4), pairs),
         strict,
         {},
         {"shared cores: ranks 0-1 on h1 may run on the same cores 0-1 ",
          "shared cores: ranks 2-3 on h1 may run on the same cores 2-3 "},
         {}},
        {"overlapping_like_a_chain",
         with(healthy(3), chain),
         strict,
         {},
         {"shared cores: ranks 0-2 on h1 may run on the same cores 0-3 "},
         {}},
    };
}

std::vector<Case> quota_cases() {
    const auto two_cpus = [](RankFacts& facts) { facts.cpu_quota = 2; };
    const auto one_and_a_half = [](RankFacts& facts) { facts.cpu_quota = 1.5; };
    const auto three_cpus = [](RankFacts& facts) { facts.cpu_quota = 3; };
    const auto a_quota_per_container = [](RankFacts& facts) {
        facts.host = fmt::format("pod{}", facts.rank.value() / 2);
        facts.cpu_quota = 2;
    };
    return {
        {"quota_that_suffices", with(healthy(3), three_cpus), strict, {}, {}, {}},
        {"quota_of_each_container", with(healthy(4), a_quota_per_container), strict, {}, {}, {}},
        {"more_ranks_than_quota",
         with(healthy(3), two_cpus),
         strict,
         {"oversubscribed: ranks 0-2 on h1 with 3 threads for 2 CPUs' worth of time (the quota"},
         {},
         {}},
        {"quota_of_a_part_of_a_cpu",
         with(healthy(2), one_and_a_half),
         strict,
         {"oversubscribed: ranks 0-1 on h1 with 2 threads for 1.5 CPUs' worth of time (the quota"},
         {},
         {}},
        {"more_ranks_than_quota_by_request",
         with(healthy(3), two_cpus),
         insisting,
         {},
         {"oversubscribed: ranks 0-2 on h1 with 3 threads for 2 CPUs' worth of time"},
         {}},
        {"more_ranks_than_quota_while_timed",
         with(healthy(3), two_cpus),
         timed,
         {},
         {},
         {"oversubscribed: ranks 0-2 on h1 with 3 threads for 2 CPUs' worth of time"}},
    };
}

std::vector<Case> agreement_cases() {
    const auto singleton = [](RankFacts& facts) {
        facts.launcher = LauncherClaim{.variable = "PMI_SIZE", .size = 8, .rank = 3};
    };
    const auto no_launcher = [](RankFacts& facts) { facts.launcher.reset(); };
    const auto other_binary = [](RankFacts& facts) {
        facts.executable_hash += facts.rank.value() >= 2 ? 1U : 0U;
    };
    const auto other_config = [](RankFacts& facts) {
        facts.config_hash = facts.rank == WorldRank{1} ? 0x123 : 0xdef;
    };
    const auto other_mpi = [](RankFacts& facts) {
        facts.mpi = facts.rank == WorldRank{3} ? "MPICH Version: 4.0.2" : facts.mpi;
    };
    const auto everything = [](RankFacts& facts) {
        facts.executable_hash += facts.rank == WorldRank{1} ? 1U : 0U;
        facts.config_hash += facts.rank == WorldRank{1} ? 1U : 0U;
        facts.cores = {0};
    };
    return {
        {"no_launcher", with(healthy(1), no_launcher), strict, {}, {}, {}},
        {"singletons",
         with(healthy(1), singleton),
         strict,
         {"8 processes were started but this job has 1 (PMI_SIZE is 8, MPI_COMM_WORLD has 1: the "
          "launcher and the MPI library do not know each other) start with the mpirun that belongs "
          "to Open MPI v4.1.4, or"},
         {},
         {}},
        {"two_binaries",
         with(healthy(4), other_binary),
         strict,
         {"a different traindyno binary than rank 0 on h1: ranks 2-3 on h1 (0000000000000abd "
          "against 0000000000000abc) install"},
         {},
         {}},
        {"two_configurations",
         with(healthy(4), other_config),
         timed,
         {"a different configuration than rank 0 on h1: rank 1 on h1 (0000000000000123 against"},
         {},
         {}},
        {"two_mpi_libraries",
         with(healthy(4), other_mpi),
         insisting,
         {"a different MPI library than rank 0 on h1: rank 3 on h1 (MPICH Version: 4.0.2 against"},
         {},
         {}},
        {"all_at_once",
         with(healthy(2), everything),
         strict,
         {"a different traindyno binary", "a different configuration", "oversubscribed"},
         {},
         {}},
    };
}

std::vector<Case> gpu_cases() {
    constexpr SanityPolicy sharing{.gpu_sharing = GpuSharing::allowed};
    const auto own_gpus = [](RankFacts& facts) {
        facts.gpu_uuid = fmt::format("GPU-{}", facts.rank.value());
    };
    const auto in_pairs = [](RankFacts& facts) {
        facts.gpu_uuid = fmt::format("GPU-{}", facts.rank.value() / 2);
        facts.gpu_pci_bus_id = fmt::format("0000:1{}:00.0", facts.rank.value() / 2);
    };
    const auto from_two_containers = [](RankFacts& facts) {
        facts.host = fmt::format("pod{}", facts.rank.value());
        facts.boot_id = facts.host;
        facts.gpu_uuid = "GPU-0";
        facts.gpu_pci_bus_id = "0000:10:00.0";
    };
    return {
        {"gpu_each", with(healthy(4), own_gpus), strict, {}, {}, {}},
        {"two_ranks_on_each_gpu",
         with(healthy(4), in_pairs),
         strict,
         {"shared GPU: ranks 0-1 on h1 compute on GPU GPU-0 at 0000:10:00.0 (they would be timed "
          "while they wait for each other) start at most as many ranks per node as it has GPUs, "
          "let each rank see its own GPU or all of them (srun --gpus-per-task=1 or "
          "--gpu-bind=none), or pass --share-gpu",
          "shared GPU: ranks 2-3 on h1 compute on GPU GPU-1 at 0000:11:00.0"},
         {},
         {}},
        {"two_ranks_on_a_gpu_by_request",
         with(healthy(2), in_pairs),
         sharing,
         {},
         {"not a performance result: ranks 0-1 on h1 share GPU GPU-0 at 0000:10:00.0"},
         {}},
        {"one_gpu_in_two_containers",
         with(healthy(2), from_two_containers),
         strict,
         {"shared GPU: ranks 0-1 on pod0, pod1 compute on GPU GPU-0"},
         {},
         {}},
    };
}

const auto case_name = [](const testing::TestParamInfo<Case>& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(Cores, LaunchSanity, testing::ValuesIn(core_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Quotas, LaunchSanity, testing::ValuesIn(quota_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Gpus, LaunchSanity, testing::ValuesIn(gpu_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Agreement, LaunchSanity, testing::ValuesIn(agreement_cases()), case_name);

TEST(Findings, refuse_with_every_refusal) {
    EXPECT_NO_THROW((Findings{.refusals = {}, .flags = {"f"}, .notes = {"n"}}.throw_if_refused()));
    const Findings findings{.refusals = {"first", "second"}, .flags = {}, .notes = {}};
    try {
        findings.throw_if_refused();
        FAIL();
    } catch (const LaunchError& error) {
        EXPECT_STREQ(error.what(), "first\nsecond");
        EXPECT_EQ(error.exit_code(), ExitCode::launch);
    }
}

TEST(RankFacts, survive_the_way_through_text) {
    for (const RankFacts& facts : healthy(3)) {
        EXPECT_EQ(rank_facts_from_text(to_text(facts)), facts);
    }
    const RankFacts without_launcher{.host = "h", .cores = {}, .launcher = std::nullopt};
    EXPECT_EQ(rank_facts_from_text(to_text(without_launcher)), without_launcher);
    const RankFacts with_quota{.host = "h", .cores = {}, .cpu_quota = 2.5};
    EXPECT_EQ(rank_facts_from_text(to_text(with_quota)), with_quota);
    const RankFacts with_gpu = facts_of_this_process(
        {.gpu_uuid = "GPU-0a", .gpu_pci_bus_id = "0000:1b:00.0", .cores_near_gpu = {0, 1, 2, 7}});
    EXPECT_EQ(with_gpu.gpu_uuid, "GPU-0a");
    EXPECT_EQ(rank_facts_from_text(to_text(with_gpu)), with_gpu);
}

TEST(RankFacts, of_this_process_are_those_of_this_host) {
    const RankFacts facts = facts_of_this_process({.threads = 3, .config_hash = 7});
    EXPECT_EQ(facts.pid, getpid());
    EXPECT_EQ(facts.threads, 3);
    EXPECT_EQ(facts.config_hash, 7U);
    EXPECT_GE(facts.cores.size(), 1U);
    EXPECT_GE(facts.host_cores, static_cast<std::int64_t>(facts.cores.size()));
    EXPECT_TRUE(std::is_sorted(facts.cores.begin(), facts.cores.end()));
    EXPECT_NE(facts.executable_hash, 0U);
    EXPECT_EQ(facts, facts_of_this_process({.threads = 3, .config_hash = 7}));
}

TEST(SpeaksForJob, is_rank_zero_and_of_singletons_the_first) {
    const std::vector<RankFacts> job = healthy(2);
    EXPECT_TRUE(speaks_for_job(job[0]));
    EXPECT_FALSE(speaks_for_job(job[1]));
    RankFacts singleton = healthy(1).front();
    singleton.launcher = LauncherClaim{.variable = "PMI_SIZE", .size = 4, .rank = 0};
    EXPECT_TRUE(speaks_for_job(singleton));
    singleton.launcher->rank = 2;
    EXPECT_FALSE(speaks_for_job(singleton));
}

TEST(CheckLaunch, alone_gives_the_judgement) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    RankFacts facts = healthy(1).front();
    facts.threads = 2;
    EXPECT_EQ(check_launch(*self, facts, strict), judge({facts}, strict));
    EXPECT_EQ(check_launch(*self, facts, strict).refusals.size(), 1U);
}

TEST(ContentHash, tells_contents_apart) {
    const std::string text(1000, 'x');
    std::vector<std::uint64_t> hashes{content_hash(""), content_hash("x"), content_hash(text)};
    for (std::size_t i = 0; i < text.size(); i += 37) {
        std::string changed = text;
        changed[i] = 'y';
        hashes.push_back(content_hash(changed));
    }
    std::sort(hashes.begin(), hashes.end());
    EXPECT_EQ(std::adjacent_find(hashes.begin(), hashes.end()), hashes.end());
    EXPECT_EQ(content_hash("x"), 0xaf63f54c86021707U);  // FNV-1a's published value for "x"
}

}  // namespace

}  // namespace traindyno
