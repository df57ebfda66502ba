// SPDX-License-Identifier: Apache-2.0
// What a collective costs: messages, bytes and time in closed form (collectives/README.md).
#pragma once

#include <cstdint>

#include "collectives/cost/algorithm.hpp"
#include "collectives/cost/chunking.hpp"

namespace traindyno {

/// Unit tests count the same in the plans of collectives/algorithms. The busiest rank may be
/// another one for each figure.
struct Cost {
    std::int64_t rounds = 0;    ///< messages that wait for one another, in the longest strand
    std::int64_t path = 0;      ///< bytes along such a chain, where a rank sends one byte at a time
    std::int64_t messages = 0;  ///< sent by the busiest rank
    std::int64_t bytes = 0;     ///< sent by the busiest rank
    std::int64_t reduced = 0;   ///< bytes of partial results that the busiest rank combines
    Chunking chunking = {};

    friend bool operator==(const Cost&, const Cost&) = default;
};

/// `bytes` are those of the whole: the buffer of an all_reduce or broadcast, all parts of the
/// others. Parts are cut at bytes; for elements of e bytes count elements and multiply by e. An
/// operation that `algorithm` does not have costs what its algorithm_for() does.
[[nodiscard]] Cost cost_of(Algorithm algorithm,
                           CollectiveOp op,
                           std::int64_t bytes,
                           std::int64_t ranks,
                           Chunking chunking = {});

/// Hockney's model with a term for the reduction: one level of links.
struct LinkModel {
    double alpha = 0;  ///< seconds until a message arrives, without its bytes
    double beta = 0;   ///< seconds per byte that a rank sends
    double gamma = 0;  ///< seconds per byte reduced

    friend bool operator==(const LinkModel&, const LinkModel&) = default;
};

/// The longer of: a lane's strands one after the other, or all that the busiest rank sends; and
/// the reductions.
[[nodiscard]] double seconds(const Cost& cost, const LinkModel& link);

/// Roundings on the way of one value into a sum, at most: |error| <= h u / (1 - h u) times the sum
/// of magnitudes, where u is the type's unit roundoff and h this number; an average has one
/// more (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2).
[[nodiscard]] std::int64_t roundings(Algorithm algorithm, CollectiveOp op, std::int64_t ranks);

/// What MPICH chooses by size, which other MPI libraries follow with thresholds of their own
/// (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005, section 4; its long
/// reduce-scatters are pairwise, with the bytes of a ring).
[[nodiscard]] Algorithm usual_algorithm(CollectiveOp op, std::int64_t bytes, std::int64_t ranks);

}  // namespace traindyno
