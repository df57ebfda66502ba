// SPDX-License-Identifier: Apache-2.0
// What can carry a collective operation.
#pragma once

#include <cstdint>

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

template <>
struct EnumNames<Urgency> {
    static constexpr auto names = enum_table<Urgency>("background", "immediate");
};

}  // namespace traindyno
