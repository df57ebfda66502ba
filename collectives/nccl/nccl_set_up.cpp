// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_set_up.hpp"

#include "collectives/nccl/check.hpp"
#include "collectives/nccl/nccl_environment.hpp"

namespace traindyno {

namespace {

int nccl_version() {
    int version = 0;
    TD_NCCL(ncclGetVersion(&version));
    return version;
}

}  // namespace

NcclSetUp::NcclSetUp(GpuSharing sharing, WorldRank rank) {
    set_where_unset(nccl_environment(sharing, rank, nccl_version()));
}

}  // namespace traindyno
