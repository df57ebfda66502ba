// SPDX-License-Identifier: Apache-2.0
// What a benchmark of collectives runs: operation, element type, reduction, root, and sizes as
// nccl-tests counts them.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/arguments.hpp"
#include "emulator/base/dtype.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/base/reduction.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// sendrecv: every rank sends to the next and receives from the one before.
enum class BenchOp : std::uint8_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    all_to_all,
    broadcast,
    sendrecv,
};

template <>
struct EnumNames<BenchOp> {
    static constexpr auto names = enum_table<BenchOp>(
        "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast", "sendrecv");
};

struct BenchCase {
    BenchOp op = BenchOp::all_reduce;
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;  ///< all_reduce and reduce_scatter only
    GroupRank root{0};                     ///< broadcast only

    bool operator==(const BenchCase&) const = default;
};

[[nodiscard]] bool reduces(BenchOp op);
/// Placements that the operation has (communicator.hpp): a broadcast is in place, an exchange not.
[[nodiscard]] bool has(BenchOp op, Placement placement);

/// Elements of one operation on each rank.
struct OpShape {
    std::int64_t count = 0;  ///< of a part where there are parts, else of the whole
    std::int64_t in = 0;     ///< of the input
    std::int64_t out = 0;    ///< of the output

    bool operator==(const OpShape&) const = default;
};

/// About `wanted` bytes, which means the longer of both buffers (nccl-tests): whole elements, at
/// least one per part.
[[nodiscard]] OpShape shape_of(BenchOp op, Bytes wanted, DType type, std::int64_t ranks);
[[nodiscard]] Bytes size_of(const OpShape& shape, DType type);

/// busbw / algbw: bytes that must pass the busiest link per byte of size, so that busbw compares
/// with hardware at any rank count (nccl-tests, doc/PERFORMANCE.md).
[[nodiscard]] double bus_factor(BenchOp op, std::int64_t ranks);

/// Sizes from `from` to `to`, both included where they are met.
struct SizeSweep {
    Bytes from;
    Bytes to;
    Bytes step;               ///< added where `factor` is 1
    std::int64_t factor = 1;  ///< multiplied where it is more
};

/// Those of the sweep that differ in shape, ascending.
[[nodiscard]] std::vector<OpShape> shapes_of(const SizeSweep& sweep,
                                             const BenchCase& what,
                                             std::int64_t ranks);

}  // namespace traindyno
