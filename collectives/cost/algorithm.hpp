// SPDX-License-Identifier: Apache-2.0
// The collective operations, the algorithms that carry them, and who has what.
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class CollectiveOp : std::uint8_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    all_to_all,
    broadcast,
};

template <>
struct EnumNames<CollectiveOp> {
    static constexpr auto names = enum_table<CollectiveOp>(
        "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "broadcast");
};

/// Algorithms made of messages between ranks; collectives/README.md says when to use which.
enum class Algorithm : std::uint8_t {
    ring,                ///< all_reduce, reduce_scatter, all_gather
    recursive_doubling,  ///< all_reduce, all_gather
    halving_doubling,    ///< all_reduce, reduce_scatter (Rabenseifner)
    double_tree,         ///< all_reduce, broadcast
    pairwise,            ///< all_to_all
    bruck,               ///< all_to_all
    binomial,            ///< broadcast
    scatter_all_gather,  ///< broadcast
};

template <>
struct EnumNames<Algorithm> {
    static constexpr auto names = enum_table<Algorithm>("ring",
                                                        "recursive_doubling",
                                                        "halving_doubling",
                                                        "double_tree",
                                                        "pairwise",
                                                        "bruck",
                                                        "binomial",
                                                        "scatter_all_gather");
};

[[nodiscard]] bool has(Algorithm algorithm, CollectiveOp op);

/// `algorithm` itself if it has `op`, else the one that is like it: few rounds for few rounds
/// (recursive doubling, Bruck, binomial), few bytes for few bytes (the others).
[[nodiscard]] Algorithm algorithm_for(Algorithm algorithm, CollectiveOp op);

}  // namespace traindyno
