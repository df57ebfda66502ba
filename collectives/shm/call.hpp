// SPDX-License-Identifier: Apache-2.0
// A collective as it was called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collectives/arguments.hpp"
#include "collectives/reduce/reduce.hpp"

namespace traindyno {

enum class CallKind : std::uint8_t {
    all_reduce,
    reduce_scatter,
    all_gather,
    all_to_all,
    broadcast,
};

struct Call {
    CallKind kind = CallKind::all_reduce;
    std::span<const std::byte> in{};  ///< empty on those who only receive a broadcast
    std::span<std::byte> out{};       ///< empty on the root of a broadcast
    ReduceRule rule{};                ///< of all_reduce and reduce_scatter
    std::int64_t root = 0;            ///< of broadcast
    std::vector<PartRange> sent{};    ///< of all_to_all, by member
    std::vector<PartRange> taken{};   ///< likewise: where they go in `out`
};

/// Results of so many bytes are written and read again faster past the caches (measured:
/// shm_sizes_bench).
constexpr std::size_t streamed_from = std::size_t{4} << 20;

[[nodiscard]] constexpr Stores stores_for(std::size_t bytes) {
    return bytes < streamed_from ? Stores::cached : Stores::streamed;
}

}  // namespace traindyno
