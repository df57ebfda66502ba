// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/check.hpp"

#include <string>

#include <fmt/format.h>

namespace traindyno {

void check_nccl(ncclResult_t result, const char* call, Where where) {
    if (result == ncclSuccess || result == ncclInProgress) {
        return;
    }
    // One text per process, whatever communicator is given.
    const char* const last = ncclGetLastError(nullptr);
    const std::string why = last == nullptr || *last == '\0' ? "no explanation" : last;
    throw LibraryError(
        "NCCL", result, fmt::format("{}: {}", ncclGetErrorString(result), why), call, where);
}

}  // namespace traindyno
