// SPDX-License-Identifier: Apache-2.0
// What every communicator expects of the arguments of a collective.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Where the input of a collective lies.
enum class Placement : std::uint8_t { in_place, apart };

// ContractError unless sizes fit together and buffers are in place or do not overlap, as described
// in communicator.hpp. Empty buffers are apart. Nothing is read.
[[nodiscard]] Placement check_all_reduce(std::span<const std::byte> in,
                                         std::span<const std::byte> out,
                                         DType type);
[[nodiscard]] Placement check_reduce_scatter(std::span<const std::byte> in,
                                             std::span<const std::byte> out,
                                             DType type,
                                             const Communicator& group);
[[nodiscard]] Placement check_all_gather(std::span<const std::byte> in,
                                         std::span<const std::byte> out,
                                         const Communicator& group);
void check_all_to_all(std::span<const std::byte> in,
                      std::span<const std::byte> out,
                      const Exchange& parts,
                      const Communicator& group);

/// Part of a buffer, in bytes.
struct PartRange {
    std::int64_t begin = 0;
    std::int64_t size = 0;

    bool operator==(const PartRange&) const = default;
};

/// Where each member's part of a buffer of `whole` bytes lies, for one side of an Exchange: one
/// after the other, of the given sizes or, when there are none, equal.
[[nodiscard]] std::vector<PartRange> part_ranges(std::span<const std::int64_t> sizes,
                                                 std::size_t whole,
                                                 std::int64_t members);

}  // namespace traindyno
