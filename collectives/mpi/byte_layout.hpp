// SPDX-License-Identifier: Apache-2.0
// Describes any number of bytes to MPI, whose counts are ints.
#pragma once

#include <cstddef>
#include <cstdint>

#include <mpi.h>

#include "collectives/mpi/element_types.hpp"

namespace traindyno {

/// A committed type that spans `bytes` > 0, made of runs of at most `largest_count`.
[[nodiscard]] UniqueDatatype type_spanning(std::int64_t bytes, std::int64_t largest_count);

/// One of `parts` equal, contiguous parts of `whole` bytes, as (count, datatype): MPI_BYTE while
/// the whole fits into `largest_count` (MPI libraries multiply ranks by counts as ints), else one
/// element of a type that spans the part. May go as soon as the operation has been posted.
class ByteLayout {
  public:
    ByteLayout(std::size_t whole, std::int64_t parts, std::int64_t largest_count);

    [[nodiscard]] int count() const { return count_; }

    [[nodiscard]] MPI_Datatype type() const { return large_.empty() ? MPI_BYTE : large_.get(); }

  private:
    int count_ = 1;
    UniqueDatatype large_;
};

}  // namespace traindyno
