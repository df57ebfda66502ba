// SPDX-License-Identifier: Apache-2.0
// A range cut into parts whose sizes differ by at most one; the longer ones come first.
#pragma once

#include <algorithm>
#include <cstdint>

namespace traindyno {

struct Parts {
    std::int64_t count = 0;  ///< elements in all
    std::int64_t parts = 1;

    [[nodiscard]] constexpr std::int64_t begin(std::int64_t part) const {
        return part * (count / parts) + std::min(part, count % parts);
    }

    [[nodiscard]] constexpr std::int64_t size(std::int64_t part) const {
        return begin(part + 1) - begin(part);
    }

    [[nodiscard]] constexpr std::int64_t longest() const { return size(0); }

    [[nodiscard]] constexpr std::int64_t shortest() const { return size(parts - 1); }
};

/// n = folded + 2^steps: ranks 0 .. 2 folded - 1 work in pairs as one, so that a power of two is
/// left (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005, section 4.4).
struct Folding {
    std::int64_t steps = 0;   ///< log2 of the members
    std::int64_t folded = 0;  ///< pairs; the even rank of a pair is the member

    [[nodiscard]] static constexpr Folding of(std::int64_t ranks) {
        Folding folding;
        while ((std::int64_t{2} << folding.steps) <= ranks) {
            ++folding.steps;
        }
        folding.folded = ranks - (std::int64_t{1} << folding.steps);
        return folding;
    }

    [[nodiscard]] constexpr std::int64_t members() const { return std::int64_t{1} << steps; }

    [[nodiscard]] constexpr std::int64_t rank_of(std::int64_t member) const {
        return member < folded ? 2 * member : member + folded;
    }

    /// Not for the odd rank of a pair.
    [[nodiscard]] constexpr std::int64_t member_of(std::int64_t rank) const {
        return rank < 2 * folded ? rank / 2 : rank - folded;
    }
};

/// The least k with 2^k >= ranks.
[[nodiscard]] constexpr std::int64_t rounds_to_reach(std::int64_t ranks) {
    std::int64_t rounds = 0;
    while ((std::int64_t{1} << rounds) < ranks) {
        ++rounds;
    }
    return rounds;
}

}  // namespace traindyno
