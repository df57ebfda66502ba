// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/blocks.hpp"

#include <algorithm>

namespace traindyno {

BlockId add_block(StepProgram& program, Block block) {
    program.blocks.push_back(std::move(block));
    return BlockId{static_cast<std::int64_t>(program.blocks.size()) - 1};
}

BlockId add_block_once(StepProgram& program, Block block) {
    const auto found = std::find(program.blocks.begin(), program.blocks.end(), block);
    return found == program.blocks.end() ? add_block(program, std::move(block))
                                         : BlockId{found - program.blocks.begin()};
}

Task task_of(BlockId block, std::int64_t micro_batch) {
    Task task;
    task.block = block;
    task.micro_batch = MicroBatch{micro_batch};
    return task;
}

}  // namespace traindyno
