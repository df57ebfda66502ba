// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_environment.hpp"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

constexpr int nccl_2_28_9 = 22809;
constexpr int nccl_2_30_7 = 23007;

TEST(NcclEnvironment, gives_streams_queues_of_their_own_and_leaves_the_rest) {
    EXPECT_EQ(nccl_environment(GpuSharing::refused, WorldRank{3}, nccl_2_28_9),
              (EnvironmentSettings{{"CUDA_DEVICE_MAX_CONNECTIONS", "32"}}));
}

TEST(NcclEnvironment, keeps_the_launch_order_where_that_does_not_serialise) {
    EXPECT_EQ(launch_order_environment(13000),
              (EnvironmentSettings{{"NCCL_LAUNCH_ORDER_IMPLICIT", "1"}}));
    EXPECT_EQ(launch_order_environment(12090).size(), 1U);
    EXPECT_TRUE(launch_order_environment(12080).empty());
    EXPECT_TRUE(launch_order_environment(0).empty());  // no driver
}

TEST(NcclEnvironment, gives_ranks_that_share_a_gpu_hosts_of_their_own_on_the_loopback) {
    const EnvironmentSettings first = shared_gpu_environment(WorldRank{0}, nccl_2_28_9);
    const EnvironmentSettings second = shared_gpu_environment(WorldRank{1}, nccl_2_28_9);
    EXPECT_EQ(first.at("NCCL_HOSTID"), "td-0");
    EXPECT_EQ(second.at("NCCL_HOSTID"), "td-1");
    EXPECT_EQ(first.at("NCCL_NET"), "Socket");
    EXPECT_EQ(first.at("NCCL_SOCKET_IFNAME"), "lo");
    EXPECT_EQ(first.at("NCCL_MAX_CTAS"), "2");
    EXPECT_EQ(first.at("CUDA_MODULE_LOADING"), "EAGER");
    EXPECT_EQ(first.count("NCCL_MULTI_RANK_GPU_ENABLE"), 0U);
}

TEST(NcclEnvironment, uses_the_switch_of_nccl_from_2_30_3_on) {
    const EnvironmentSettings settings = shared_gpu_environment(WorldRank{1}, nccl_2_30_7);
    EXPECT_EQ(settings.at("NCCL_MULTI_RANK_GPU_ENABLE"), "1");
    EXPECT_EQ(settings.at("NCCL_NET_GDR_LEVEL"), "LOC");
    EXPECT_EQ(settings.at("NCCL_NVLS_ENABLE"), "0");
    EXPECT_EQ(settings.at("NCCL_MAX_CTAS"), "2");
    EXPECT_EQ(settings.count("NCCL_HOSTID"), 0U);
    EXPECT_EQ(shared_gpu_environment(WorldRank{1}, first_nccl_with_shared_gpus - 1)
                  .count("NCCL_MULTI_RANK_GPU_ENABLE"),
              0U);
}

TEST(NcclEnvironment, adds_what_every_job_gets_to_what_shared_gpus_need) {
    EnvironmentSettings expected = shared_gpu_environment(WorldRank{2}, nccl_2_28_9);
    expected["CUDA_DEVICE_MAX_CONNECTIONS"] = "32";
    EXPECT_EQ(nccl_environment(GpuSharing::allowed, WorldRank{2}, nccl_2_28_9), expected);
}

TEST(NcclEnvironment, does_not_overrule_the_user) {
    setenv("TRAINDYNO_TEST_CHOSEN", "mine", 1);
    unsetenv("TRAINDYNO_TEST_OPEN");
    set_where_unset({{"TRAINDYNO_TEST_CHOSEN", "ours"}, {"TRAINDYNO_TEST_OPEN", "ours"}});
    EXPECT_STREQ(std::getenv("TRAINDYNO_TEST_CHOSEN"), "mine");
    EXPECT_STREQ(std::getenv("TRAINDYNO_TEST_OPEN"), "ours");
}

}  // namespace

}  // namespace traindyno
