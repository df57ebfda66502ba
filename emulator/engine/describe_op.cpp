// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/describe_op.hpp"

#include <fmt/format.h>

namespace traindyno {

std::string describe(const IssueOrder& order, OpIndex index) {
    const IssuedOp& issued = order.ops()[index];
    const Task& task = order.task_of(index);
    std::string text = fmt::format("  {} of {}, micro-batch {}, layer {}",
                                   to_string(issued.lane),
                                   order.program().blocks[task.block.index()].name,
                                   task.micro_batch.value(),
                                   task.layer.value());
    if (const auto* op = std::get_if<CommOp>(&order.block_op(index).op)) {
        const Group& group = order.program().groups[group_id(*op).index()];
        text += fmt::format(": {} bytes in the {} group of {} ranks",
                            payload(*op).value(),
                            to_string(group.kind),
                            group.size());
    }
    return text;
}

}  // namespace traindyno
