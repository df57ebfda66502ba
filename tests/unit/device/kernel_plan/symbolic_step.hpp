// SPDX-License-Identifier: Apache-2.0
// Runs a step program on symbols instead of numbers: two orders of operations are equivalent when
// every operation sees the same symbols.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/device/kernel_plan/fusion.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// A number that stands for everything an operation has read, by task and operation of its block.
using OperationInputs = std::vector<std::vector<std::uint64_t>>;

/// Operations one after the other, as the program lists them.
OperationInputs run_symbolically(const StepProgram& program);

/// The same with the steps of `plans` (by block), each when its first operation is due. A product
/// that its step does not store leaves its place unusable.
OperationInputs run_symbolically(const StepProgram& program, const std::vector<BlockPlan>& plans);

/// `program` with its blocks in the order in which `plans` run them.
StepProgram reordered(StepProgram program, const std::vector<BlockPlan>& plans);

}  // namespace traindyno
