// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/binding.hpp"

#include <algorithm>
#include <string>
#include <thread>

#include <fmt/format.h>
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

/// One core of two processors, `number` and `number` + 8, as hwloc writes it.
std::string core_xml(int number, int node) {
    const auto object = [&](const char* type, unsigned set, int index, int key) {
        return fmt::format(
            R"(<object type="{0}" os_index="{1}" cpuset="{2:#x}" complete_cpuset="{2:#x}" )"
            R"(nodeset="{3:#x}" complete_nodeset="{3:#x}" gp_index="{4}")",
            type,
            index,
            set,
            1U << static_cast<unsigned>(node),
            key);
    };
    const unsigned first = 1U << static_cast<unsigned>(number);
    return object("Core", first | first << 8U, number, 100 + number) + ">" +
           object("PU", first, number, 200 + number) + "/>" +
           object("PU", first << 8U, number + 8, 300 + number) + "/></object>";
}

/// Two packages of four cores, each a NUMA node with the GPU `bus`:00.0 behind its host bridge.
std::string package_xml(int package, const std::string& bus) {
    const unsigned cpus = 0x0f0fU << static_cast<unsigned>(4 * package);
    std::string xml = fmt::format(
        R"(<object type="Package" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" )"
        R"(nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{3}">)"
        R"(<object type="NUMANode" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" )"
        R"(nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{4}" local_memory="1073741824"/>)",
        package,
        cpus,
        1U << static_cast<unsigned>(package),
        10 + package,
        20 + package);
    for (int core = 4 * package; core < 4 * package + 4; ++core) {
        xml += core_xml(core, package);
    }
    return xml +
           fmt::format(R"(<object type="Bridge" gp_index="{0}" bridge_type="0-1" depth="0" )"
                       R"(bridge_pci="0000:[{1}-{1}]"><object type="PCIDev" gp_index="{2}" )"
                       R"(pci_busid="0000:{1}:00.0" pci_type="0302 [10de:2335] [10de:18be] a1" )"
                       R"(pci_link_speed="0.000000"/></object></object>)",
                       30 + package,
                       bus,
                       40 + package);
}

std::string two_package_host() {
    return R"(<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE topology SYSTEM "hwloc2.dtd">)"
           R"(<topology version="2.0"><object type="Machine" os_index="0" cpuset="0xffff" )"
           R"(complete_cpuset="0xffff" allowed_cpuset="0xffff" nodeset="0x3" )"
           R"(complete_nodeset="0x3" allowed_nodeset="0x3" gp_index="1">)" +
           package_xml(0, "1b") + package_xml(1, "c2") + "</object></topology>";
}

TEST(CoresNear, are_those_of_the_package_that_the_device_hangs_on) {
    const std::string host = two_package_host();
    EXPECT_EQ(cores_near("0000:1b:00.0", host), (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(cores_near("0000:c2:00.0", host), (std::vector<int>{4, 5, 6, 7}));
}

TEST(CoresNear, are_none_of_a_device_that_is_not_there) {
    EXPECT_EQ(cores_near("0000:ff:00.0", two_package_host()), std::vector<int>{});
    EXPECT_EQ(cores_near("no bus id", two_package_host()), std::vector<int>{});
    EXPECT_EQ(cores_near("ffff:ff:1f.7"), std::vector<int>{});  // of this host
}

TEST(CoresNear, refuses_what_is_no_topology) {
    EXPECT_THROW((void)cores_near("0000:1b:00.0", "<nonsense"), LibraryError);
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
