// SPDX-License-Identifier: Apache-2.0
// Which carrier is fastest, by operation, urgency, placement and size; kept in a TOML file.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "collectives/auto/carrier.hpp"
#include "collectives/cost/algorithm.hpp"
#include "collectives/hierarchical/node_map.hpp"

namespace traindyno {

/// Seconds by carrier; 0 where it was not tried.
using CarrierSeconds = std::array<double, enum_count<Carrier>>;

/// One size of one operation. `bytes` is the longer buffer's: what all members contribute or get
/// in reduce_scatter, all_gather and all_to_all.
struct TuningRow {
    CollectiveOp op = CollectiveOp::all_reduce;
    Urgency urgency = Urgency::background;
    GroupShape shape;
    std::int64_t bytes = 0;
    Carrier carrier = Carrier::mpi;
    CarrierSeconds seconds{};  ///< the slowest member's, in the best of several runs
    bool estimated = false;    ///< extrapolated from smaller sizes

    friend bool operator==(const TuningRow&, const TuningRow&) = default;
};

/// Applies to messages of up to this many bytes, and more than the choice before it.
struct SizeChoice {
    std::int64_t up_to = 0;
    Carrier carrier = Carrier::mpi;

    friend bool operator==(const SizeChoice&, const SizeChoice&) = default;
};

/// `choices` must not be empty; the last one applies to all that is longer, too.
[[nodiscard]] Carrier choose(std::span<const SizeChoice> choices, std::int64_t bytes);

class TuningTable {
  public:
    /// ConfigError with every problem of the file.
    [[nodiscard]] static TuningTable read(const std::filesystem::path& path);
    /// Replaces the file at once.
    void write(const std::filesystem::path& path) const;

    /// A row takes the place of one that differs only in what was measured.
    void add(const TuningRow& row);
    [[nodiscard]] std::vector<TuningRow> rows_of(const GroupShape& shape) const;

    [[nodiscard]] const std::vector<TuningRow>& rows() const { return rows_; }

    /// Whether there are rows for the operation in both urgencies, one of them `largest` or longer.
    [[nodiscard]] bool covers(CollectiveOp op, const GroupShape& shape, std::int64_t largest) const;
    /// What carries messages of each size: a row applies to those that its size is nearest to, as a
    /// ratio. Empty where nothing is known.
    [[nodiscard]] std::vector<SizeChoice> choices(CollectiveOp op,
                                                  Urgency urgency,
                                                  const GroupShape& shape) const;

    friend bool operator==(const TuningTable&, const TuningTable&) = default;

  private:
    std::vector<TuningRow> rows_;  ///< ascending in (shape, op, urgency, bytes)
};

}  // namespace traindyno
