// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/exchange_layout.hpp"

#include <numeric>

#include <fmt/format.h>

#include "collectives/mpi/byte_layout.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

ExchangeLayout::ExchangeLayout(std::span<const std::int64_t> sizes, std::int64_t largest_count) {
    const std::int64_t whole = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
    std::int64_t unit = 1;
    if (whole > largest_count) {
        unit = std::accumulate(
            sizes.begin(), sizes.end(), std::int64_t{0}, std::gcd<std::int64_t, std::int64_t>);
        unit_ = type_spanning(unit, largest_count);
    }
    if (whole / unit > largest_count) {
        throw LibraryError(
            "MPI",
            MPI_ERR_COUNT,
            fmt::format(
                "{} bytes in parts without a common unit: MPI counts to {}", whole, largest_count),
            "MPI_Alltoallv",
            Where::here());
    }
    std::int64_t offset = 0;
    for (const std::int64_t size : sizes) {
        counts_.push_back(static_cast<int>(size / unit));
        offsets_.push_back(static_cast<int>(offset / unit));
        offset += size;
    }
}

}  // namespace traindyno
