// SPDX-License-Identifier: Apache-2.0
// What can carry a collective operation.
#pragma once

#include <cstdint>
#include <optional>

#include "collectives/communicator.hpp"
#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class Carrier : std::uint8_t {
    mpi,
    shm,
    ring,
    recursive_doubling,
    halving_doubling,
    double_tree,
    hierarchical,
};

template <>
struct EnumNames<Carrier> {
    static constexpr auto names = enum_table<Carrier>("mpi",
                                                      "shm",
                                                      "ring",
                                                      "recursive_doubling",
                                                      "halving_doubling",
                                                      "double_tree",
                                                      "hierarchical");
};

/// What its messages between ranks follow; of MPI what such libraries usually do. Nothing of what
/// goes through memory, on one level or on two.
[[nodiscard]] std::optional<Algorithm> message_algorithm(Carrier carrier,
                                                         CollectiveOp op,
                                                         std::int64_t bytes,
                                                         std::int64_t ranks);

template <>
struct EnumNames<Urgency> {
    static constexpr auto names = enum_table<Urgency>("background", "immediate");
};

}  // namespace traindyno
