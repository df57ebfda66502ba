// SPDX-License-Identifier: Apache-2.0
// Adds blocks to a step program under construction.
#pragma once

#include "emulator/program/step_program.hpp"

namespace traindyno {

BlockId add_block(StepProgram& program, Block block);

/// The block if the program has it already.
BlockId add_block_once(StepProgram& program, Block block);

/// A task that runs `block` for `micro_batch`, its bases 0.
[[nodiscard]] Task task_of(BlockId block, std::int64_t micro_batch);

}  // namespace traindyno
