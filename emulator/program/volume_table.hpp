// SPDX-License-Identifier: Apache-2.0
// Sums traffic per group kind and operation.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/program/volume.hpp"

namespace traindyno {

enum class TrafficOp : std::uint8_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    all_to_all,
    send,
    recv,
};

template <>
struct EnumNames<TrafficOp> {
    static constexpr auto names = enum_table<TrafficOp>(
        "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "send", "recv");
};

[[nodiscard]] TrafficOp traffic_op(const CommOp& op);

class VolumeTable {
  public:
    struct Tally {
        std::int64_t count = 0;
        Bytes payload;
    };

    void add(GroupKind kind, TrafficOp op, const Tally& tally) {
        Tally& sum = tallies_[static_cast<std::size_t>(kind)][static_cast<std::size_t>(op)];
        sum.count += tally.count;
        sum.payload += tally.payload;
    }

    void set_ranks(GroupKind kind, std::int64_t ranks) {
        ranks_[static_cast<std::size_t>(kind)] = ranks;
    }

    /// Ordered by group kind, then operation; what has no traffic is left out.
    [[nodiscard]] std::vector<Volume> volumes() const;

  private:
    std::array<std::array<Tally, enum_count<TrafficOp>>, enum_count<GroupKind>> tallies_{};
    std::array<std::int64_t, enum_count<GroupKind>> ranks_{};
};

}  // namespace traindyno
