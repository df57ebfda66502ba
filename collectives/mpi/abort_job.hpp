// SPDX-License-Identifier: Apache-2.0
// Ends an MPI job for certain.
#pragma once

#include <string_view>

namespace traindyno {

/// Writes `reason` to stderr and ends every process of the job. Main thread only.
void abort_mpi_job(int exit_code, std::string_view reason) noexcept;

}  // namespace traindyno
