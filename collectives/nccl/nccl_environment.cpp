// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_environment.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// By NCCL's own switch (src/graph/topo.cc, ncclCheckMultiRank).
EnvironmentSettings by_switch() {
    return {{"NCCL_MULTI_RANK_GPU_ENABLE", "1"}, {"NCCL_NET_GDR_LEVEL", "LOC"}};
}

/// As if every rank were a host: NCCL 2.28.9 compares hosts by a hash of NCCL_HOSTID
/// (src/misc/utils.cc) and leaves shared memory and peer access to ranks of one host.
EnvironmentSettings as_hosts(WorldRank rank) {
    return {{"NCCL_HOSTID", fmt::format("td-{}", rank.value())},
            {"NCCL_NET", "Socket"},
            {"NCCL_SOCKET_IFNAME", "lo"},
            {"NCCL_IB_DISABLE", "1"},
            {"NCCL_P2P_DISABLE", "1"},
            {"NCCL_SHM_DISABLE", "1"},
            {"NCCL_MNNVL_ENABLE", "0"},
            {"NCCL_CUMEM_ENABLE", "0"},
            {"NCCL_GIN_ENABLE", "0"},
            {"NCCL_ALGO", "Ring"},
            {"NCCL_PROTO", "Simple"}};
}

}  // namespace

EnvironmentSettings shared_gpu_environment(WorldRank rank, int nccl_version) {
    EnvironmentSettings settings =
        nccl_version >= first_nccl_with_shared_gpus ? by_switch() : as_hosts(rank);
    settings.insert({// Few blocks: the ranks' kernels must fit on the GPU together.
                     {"NCCL_MAX_CTAS", "2"},
                     {"NCCL_NVLS_ENABLE", "0"},
                     {"NCCL_RAS_ENABLE", "0"},
                     // Loading a kernel at its first launch waits for the GPU, on which another
                     // rank's collective may be waiting for us.
                     {"CUDA_MODULE_LOADING", "EAGER"}});
    return settings;
}

EnvironmentSettings nccl_environment(GpuSharing sharing, WorldRank rank, int nccl_version) {
    EnvironmentSettings settings;
    if (sharing == GpuSharing::allowed) {
        settings = shared_gpu_environment(rank, nccl_version);
    }
    // The most there are (CUDA C++ Programming Guide, "CUDA Environment Variables"). A step has
    // nine streams beside NCCL's own: two in one of the default eight queues wait for each other.
    settings.insert({"CUDA_DEVICE_MAX_CONNECTIONS", "32"});
    return settings;
}

EnvironmentSettings launch_order_environment(int driver_version) {
    constexpr int first_with_order_in_graphs = 12090;
    if (driver_version < first_with_order_in_graphs) {
        return {};
    }
    return {{"NCCL_LAUNCH_ORDER_IMPLICIT", "1"}};
}

void set_where_unset(const EnvironmentSettings& settings) {
    constexpr int keep = 0;
    for (const auto& [name, value] : settings) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
        TD_EXPECT(setenv(name.c_str(), value.c_str(), keep) == 0);
    }
}

}  // namespace traindyno
