// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/binding.hpp"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>
#include <sched.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

TEST(SplitCores, gives_every_core_to_exactly_one_rank) {
    const std::vector<int> cores{0, 2, 4, 6, 8, 10, 12};
    for (std::int64_t ranks = 1; ranks <= 7; ++ranks) {
        std::vector<int> all;
        for (std::int64_t rank = 0; rank < ranks; ++rank) {
            const std::vector<int> mine = split_cores(cores, rank, ranks);
            EXPECT_GE(static_cast<std::int64_t>(mine.size()), 7 / ranks);
            EXPECT_LE(static_cast<std::int64_t>(mine.size()), (7 + ranks - 1) / ranks);
            all.insert(all.end(), mine.begin(), mine.end());
        }
        EXPECT_EQ(all, cores) << ranks;
    }
}

TEST(SplitCores, shares_cores_in_turn_when_ranks_outnumber_them) {
    const std::vector<int> cores{3, 5};
    EXPECT_EQ(split_cores(cores, 0, 5), std::vector<int>{3});
    EXPECT_EQ(split_cores(cores, 1, 5), std::vector<int>{5});
    EXPECT_EQ(split_cores(cores, 4, 5), std::vector<int>{3});
}

TEST(SplitCores, refuses_ranks_outside_the_host) {
    EXPECT_THROW((void)split_cores({0}, 1, 1), ContractError);
    EXPECT_THROW((void)split_cores({}, 0, 1), ContractError);
}

TEST(AllowedCores, are_processors_this_process_may_run_on) {
    cpu_set_t set;
    ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    const std::vector<int> cores = allowed_cores();
    EXPECT_FALSE(cores.empty());
    EXPECT_LE(cores.size(), static_cast<std::size_t>(CPU_COUNT(&set)));
    for (const int core : cores) {
        EXPECT_TRUE(CPU_ISSET(static_cast<std::size_t>(core), &set)) << core;
    }
}

TEST(BindThisThread, moves_the_thread_and_no_other) {
    const int core = allowed_cores().back();
    int ran_on = -1;
    std::thread([&] {
        bind_this_thread({core});
        ran_on = sched_getcpu();
    }).join();
    EXPECT_EQ(ran_on, core);
    EXPECT_EQ(allowed_cores().back(), core);
}

TEST(BindThisThread, names_the_cores_it_cannot_have) {
    try {
        bind_this_thread({1022, 1023});
        FAIL() << "this host has 1024 processors";
    } catch (const LibraryError& error) {
        EXPECT_NE(std::string(error.what()).find("1022-1023"), std::string::npos);
    }
}

TEST(HostResources, hold_at_least_what_this_process_has) {
    const HostResources host = host_resources();
    EXPECT_GE(host.cores, static_cast<std::int64_t>(allowed_cores().size()));
    EXPECT_GT(host.memory, Bytes{1 << 20});
    EXPECT_FALSE(cpu_name().empty());
}

}  // namespace
}  // namespace traindyno
