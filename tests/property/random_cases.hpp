// SPDX-License-Identifier: Apache-2.0
// Random valid cases, and what a failing one comes down to.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/property/dimensions.hpp"

namespace traindyno::test {

/// What is wrong with a case; empty: nothing.
using Check = std::function<std::string(const Case&)>;

/// Draws from all dimensions at once and keeps what problems_of has nothing against. The same seed
/// gives the same cases everywhere.
class RandomCases {
  public:
    explicit RandomCases(std::uint64_t seed);

    [[nodiscard]] Choices next();

    /// Share of draws that were kept.
    [[nodiscard]] double kept() const;

    /// Choices that fewer than `least` of the cases made, as "dimension: choice (count)".
    [[nodiscard]] std::vector<std::string> seen_less_than(std::int64_t least) const;

  private:
    std::mt19937_64 random_;
    std::int64_t drawn_ = 0;
    std::int64_t kept_ = 0;
    std::vector<std::vector<std::int64_t>> seen_;  ///< by dimension and choice
};

/// The choices with as many simplest ones as `check` still finds something wrong with.
[[nodiscard]] Choices shrunk(Choices failing, const Check& check);

/// Runs `check` on `count` cases until one fails, and reports that one, shrunk. Seed 1 unless
/// --gtest_random_seed says otherwise. Also expects every choice to occur in one case in two
/// hundred.
void check_cases(std::int64_t count, const Check& check);

}  // namespace traindyno::test
