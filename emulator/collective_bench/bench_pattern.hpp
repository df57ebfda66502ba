// SPDX-License-Identifier: Apache-2.0
// Known contents of a collective's buffers, and what they must be afterwards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "emulator/collective_bench/bench_case.hpp"

namespace traindyno {

/// What a check found. Elements count in the output.
struct PatternVerdict {
    std::int64_t wrong = 0;
    std::int64_t first = 0;  ///< the first wrong element
    double found = 0;        ///< in it
    double expected = 0;     ///< instead

    bool operator==(const PatternVerdict&) const = default;
};

/// Element i of rank r's input is the integer (h(i) + 37 r) mod 127 mod m - m / 2, where h hashes i
/// and the round: no two chunks, ranks (up to 127) or rounds look alike. m is 127, or 5 where
/// 16-bit sums are to be exact up to 128 ranks.
///
/// Results are compared with the reduction in fp64. Moved values, maxima, integers, and sums whose
/// addends' magnitudes add up to what the type holds exactly, must be equal. Any other sum over n
/// ranks may differ by (n - 1) u times the sum of magnitudes: each addition rounds by u relative to
/// a partial sum that is no greater (Higham, Accuracy and Stability of Numerical Algorithms, 2nd
/// ed., section 4.2), u being 2^-8 for bf16, 2^-11 fp16, 2^-24 fp32, 2^-53 fp64. An average by
/// (n + 2) u times their mean: a library may scale addends first, which rounds factor and product.
class BenchPattern {
  public:
    BenchPattern(const BenchCase& what, std::int64_t ranks, std::uint64_t round);

    /// Writes `rank`'s input; of a broadcast the root's buffer.
    void fill(std::span<std::byte> in, GroupRank rank) const;

    /// Compares `rank`'s output, of a shape with `count` elements.
    [[nodiscard]] PatternVerdict check(std::span<const std::byte> out,
                                       GroupRank rank,
                                       std::int64_t count) const;

    /// No value of a pattern: what outputs hold before.
    static void poison(std::span<std::byte> out);

  private:
    static constexpr std::int64_t kinds = 127;  ///< of hashes; a prime
    using Table = std::array<double, kinds>;    ///< by hash

    [[nodiscard]] std::size_t hash(std::int64_t index) const;
    [[nodiscard]] double value(std::int64_t hash, std::int64_t rank) const;
    [[nodiscard]] Table values_of(std::int64_t rank) const;
    void reduce();
    template <class T>
    void fill_as(std::span<std::byte> in, const Table& values) const;
    /// `first`: index, in the input they come from, of the first of these elements.
    template <class T>
    void check_as(std::span<const std::byte> out,
                  std::int64_t first,
                  const Table& expected,
                  const Table& tolerance,
                  PatternVerdict& verdict) const;
    void check_part(std::span<const std::byte> out,
                    std::int64_t first,
                    const Table& expected,
                    const Table& tolerance,
                    PatternVerdict& verdict) const;

    BenchCase what_;
    std::int64_t ranks_;
    std::uint64_t seed_;
    std::int64_t modulus_;
    Table reduced_{};    ///< over all ranks
    Table tolerance_{};  ///< of `reduced_`
};

}  // namespace traindyno
