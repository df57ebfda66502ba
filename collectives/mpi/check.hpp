// SPDX-License-Identifier: Apache-2.0
// Checked MPI calls. They can fail visibly because MpiSession sets MPI_ERRORS_RETURN.
#pragma once

#include <mpi.h>

#include "emulator/base/error.hpp"

namespace traindyno::detail {

/// LibraryError unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* call, Where where);

/// Writes a failed call to stderr and goes on: for destructors.
void report_mpi(int code, const char* call) noexcept;

}  // namespace traindyno::detail

#define TD_MPI(call) ::traindyno::detail::check_mpi((call), #call, ::traindyno::Where::here())
