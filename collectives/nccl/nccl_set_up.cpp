// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_set_up.hpp"

#include <cuda_runtime_api.h>

#include "collectives/nccl/check.hpp"
#include "collectives/nccl/nccl_environment.hpp"

namespace traindyno {

namespace {

int nccl_version() {
    int version = 0;
    TD_NCCL(ncclGetVersion(&version));
    return version;
}

/// 0 without a driver. May initialise CUDA, so what CUDA reads has been set before.
int driver_version() {
    int version = 0;
    (void)cudaDriverGetVersion(&version);
    (void)cudaGetLastError();  // an answer, not an error of a later call
    return version;
}

}  // namespace

NcclSetUp::NcclSetUp(GpuSharing sharing, WorldRank rank) {
    set_where_unset(nccl_environment(sharing, rank, nccl_version()));
    set_where_unset(launch_order_environment(driver_version()));
}

}  // namespace traindyno
