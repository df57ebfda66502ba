// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/byte_layout.hpp"

#include <algorithm>
#include <array>
#include <climits>

#include "collectives/mpi/check.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

UniqueDatatype contiguous(std::int64_t count, MPI_Datatype element) {
    MPI_Datatype type = MPI_DATATYPE_NULL;
    TD_MPI(MPI_Type_contiguous(static_cast<int>(count), element, &type));
    return UniqueDatatype{type};
}

/// Full runs of `run` bytes, then the rest.
UniqueDatatype runs_and_rest(std::int64_t bytes, std::int64_t run) {
    const std::int64_t runs = bytes / run;
    TD_EXPECT(runs <= INT_MAX);
    const UniqueDatatype one_run = contiguous(run, MPI_BYTE);
    const std::array<int, 2> counts{static_cast<int>(runs), static_cast<int>(bytes % run)};
    const std::array<MPI_Aint, 2> offsets{0, static_cast<MPI_Aint>(runs * run)};
    const std::array<MPI_Datatype, 2> types{one_run.get(), MPI_BYTE};
    MPI_Datatype type = MPI_DATATYPE_NULL;
    TD_MPI(MPI_Type_create_struct(2, counts.data(), offsets.data(), types.data(), &type));
    return UniqueDatatype{type};
}

}  // namespace

UniqueDatatype type_spanning(std::int64_t bytes, std::int64_t largest_count) {
    UniqueDatatype spanning = runs_and_rest(bytes, std::min(bytes, largest_count));
    MPI_Datatype type = spanning.get();
    TD_MPI(MPI_Type_commit(&type));
    return spanning;
}

ByteLayout::ByteLayout(std::size_t whole, std::int64_t parts, std::int64_t largest_count) {
    const auto whole_bytes = static_cast<std::int64_t>(whole);
    const std::int64_t bytes = whole_bytes / parts;
    if (whole_bytes <= largest_count) {
        count_ = static_cast<int>(bytes);
        return;
    }
    large_ = type_spanning(bytes, largest_count);
}

}  // namespace traindyno
