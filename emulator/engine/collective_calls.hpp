// SPDX-License-Identifier: Apache-2.0
// The collectives of a program as calls of communicators.
#pragma once

#include <array>
#include <cstdint>

#include "collectives/cost/algorithm.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

[[nodiscard]] CollectiveOp operation_of(CollectiveKind kind);

/// Of the longer buffer: what all members contribute or get.
[[nodiscard]] Bytes longer_buffer(const Collective& collective);

/// By operation the longest of these, in bytes; 0 where the program has none.
[[nodiscard]] std::array<std::int64_t, enum_count<CollectiveOp>> largest_messages(
    const StepProgram& program);

}  // namespace traindyno
