// SPDX-License-Identifier: Apache-2.0
// Describes parts of unequal sizes to MPI_Alltoallv, whose counts and offsets are ints.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mpi.h>

#include "collectives/mpi/element_types.hpp"

namespace traindyno {

/// One side of an exchange: parts of `sizes` bytes, one after the other. Counted in bytes or, where
/// the whole exceeds `largest_count`, in units of the greatest common divisor of the sizes: the
/// sides may count differently, since MPI matches what the units consist of. Must stay until the
/// operation is complete. Throws LibraryError where the units are too many still.
class ExchangeLayout {
  public:
    ExchangeLayout(std::span<const std::int64_t> sizes, std::int64_t largest_count);

    [[nodiscard]] const int* counts() const { return counts_.data(); }

    [[nodiscard]] const int* offsets() const { return offsets_.data(); }

    [[nodiscard]] MPI_Datatype type() const { return unit_.empty() ? MPI_BYTE : unit_.get(); }

  private:
    std::vector<int> counts_;
    std::vector<int> offsets_;
    UniqueDatatype unit_;
};

}  // namespace traindyno
