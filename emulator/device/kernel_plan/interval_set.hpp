// SPDX-License-Identifier: Apache-2.0
// A set of integers as disjoint half-open intervals.
#pragma once

#include <cstdint>
#include <map>

namespace traindyno {

class IntervalSet {
  public:
    void add(std::int64_t begin, std::int64_t end);
    void remove(std::int64_t begin, std::int64_t end);
    void add(const IntervalSet& other);

    [[nodiscard]] bool overlaps(std::int64_t begin, std::int64_t end) const;
    [[nodiscard]] bool overlaps(const IntervalSet& other) const;

    friend bool operator==(const IntervalSet&, const IntervalSet&) = default;

  private:
    std::map<std::int64_t, std::int64_t> end_of_;  ///< by begin; neither overlapping nor touching
};

}  // namespace traindyno
