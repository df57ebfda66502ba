// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_log.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

using Lines = std::vector<std::string>;

/// A log in the format of NCCL 2.28.9 (src/debug.cc and the calls of INFO), made up.
constexpr const char* sample = R"(node7:41:41 [2] NCCL INFO NCCL version 2.28.9+cuda13.0
node7:41:52 [2] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/IB [RO]; OOB eth0:10.0.0.7<0>
node7:41:52 [2] NCCL INFO Using network IB
node7:41:52 [2] NCCL INFO NET/IB : GPU Direct RDMA Enabled for HCA 0 'mlx5_0'
node7:41:52 [2] NCCL INFO GPU Direct RDMA Enabled for GPU 0 / HCA 1 (distance 4 <= 5), read 1 mode Default
node7:41:52 [2] NCCL INFO comm 0x55d000 rank 2 nRanks 16 nNodes 2 localRanks 8 localRank 2 MNNVL 0
node7:41:52 [2] NCCL INFO comm 0x77e000 rank 2 nRanks 16 nNodes 2 localRanks 8 localRank 2 MNNVL 0
node7:41:52 [2] NCCL INFO NVLS multicast support is available on dev 2 (NVLS_NCHANNELS 16)
node7:41:52 [2] NCCL INFO 16 coll channels, 16 collnet channels, 16 nvls channels, 16 p2p channels, 2 p2p channels per peer

[2026-01-02 03:04:05] node7:41:52 [2] file.cc:7 NCCL WARN something is via here
node7:41:60 [2] NCCL INFO Channel 00/0 : 2[2] -> 3[3] via P2P/CUMEM
node7:41:60 [2] NCCL INFO Channel 01/0 : 2[2] -> 3[3] via P2P/CUMEM
node7:41:60 [2] NCCL INFO Channel 00/0 : 2[2] -> 10[2] [send] via NET/IB/0/GDRDMA
node7:41:60 [2] NCCL INFO Connected all rings, use ring PXN 0 GDR 1)";

TEST(InterestingLines, say_what_traffic_takes) {
    EXPECT_EQ(
        interesting_lines(sample),
        (Lines{"NCCL version 2.28.9+cuda13.0",
               "NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/IB [RO]; OOB eth0:10.0.0.7<0>",
               "Using network IB",
               "NET/IB : GPU Direct RDMA Enabled for HCA 0 'mlx5_0'",
               "rank 2 nRanks 16 nNodes 2 localRanks 8 localRank 2 MNNVL 0",
               "NVLS multicast support is available on dev 2 (NVLS_NCHANNELS 16)",
               "16 coll channels, 16 collnet channels, 16 nvls channels, 16 p2p channels, 2 p2p "
               "channels per peer",
               "1 connections via NET/IB/0/GDRDMA",
               "2 connections via P2P/CUMEM"}));
}

TEST(InterestingLines, of_other_text_there_are_none) {
    EXPECT_EQ(interesting_lines(""), Lines{});
    EXPECT_EQ(interesting_lines("\n\n"), Lines{});
    EXPECT_EQ(interesting_lines("node7:41:52 [2] NCCL INFO Connected all trees\n"), Lines{});
    EXPECT_EQ(interesting_lines("Using network of friends\n"), Lines{});
}

TEST(InterestingLines, know_the_version_without_its_prefix) {
    EXPECT_EQ(interesting_lines("NCCL version 2.19.3+cuda12.3\n"),
              Lines{"NCCL version 2.19.3+cuda12.3"});
}

class NcclLogFile : public testing::Test {
  protected:
    void SetUp() override {
        for (const char* const name : {"NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_FILE"}) {
            unsetenv(name);
        }
    }
};

TEST_F(NcclLogFile, is_read_and_removed) {
    std::filesystem::path file;
    {
        const NcclLog log;
        EXPECT_STREQ(std::getenv("NCCL_DEBUG"), "INFO");
        file = std::getenv("NCCL_DEBUG_FILE");
        EXPECT_EQ(log.lines(), Lines{});
        std::ofstream(file) << "node7:41:52 [2] NCCL INFO Using network Socket\n";
        EXPECT_EQ(log.lines(), Lines{"Using network Socket"});
    }
    EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(NcclLogFile, is_not_made_where_the_user_reads_the_log) {
    setenv("NCCL_DEBUG", "WARN", 1);
    const NcclLog log;
    EXPECT_EQ(std::getenv("NCCL_DEBUG_FILE"), nullptr);
    EXPECT_EQ(log.lines(), Lines{});
}

}  // namespace

}  // namespace traindyno
