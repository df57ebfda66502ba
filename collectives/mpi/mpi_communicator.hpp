// SPDX-License-Identifier: Apache-2.0
// A communicator on an MPI communicator. Internal: users take theirs from MpiSession::world().
#pragma once

#include <climits>
#include <cstdint>
#include <memory>

#include <mpi.h>

#include "collectives/communicator.hpp"

namespace traindyno {

/// MPI's counts are ints: more elements than this go in several calls or in one derived type.
struct MpiLimits {
    std::int64_t largest_count = INT_MAX;  ///< lower it to test what happens above
};

/// Takes ownership of `handle`, which must return errors (MPI_ERRORS_RETURN). A group of one never
/// calls MPI for its data.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm handle,
                                                                  MpiLimits limits = {});

}  // namespace traindyno
