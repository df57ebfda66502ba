// SPDX-License-Identifier: Apache-2.0
// Checked NCCL calls.
#pragma once

#include <nccl.h>

#include "emulator/base/error.hpp"

namespace traindyno {

/// LibraryError with NCCL's own explanation, unless `result` is success or "still in progress",
/// which non-blocking communicators answer.
void check_nccl(ncclResult_t result, const char* call, Where where);

}  // namespace traindyno

#define TD_NCCL(call) ::traindyno::check_nccl((call), #call, ::traindyno::Where::here())
