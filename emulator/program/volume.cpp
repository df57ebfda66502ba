// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/volume.hpp"

#include "emulator/program/volume_table.hpp"

namespace traindyno {

std::vector<Volume> counted_volumes(const StepProgram& program) {
    VolumeTable table;
    for (const Group& group : program.groups) {
        table.set_ranks(group.kind, group.size());
    }
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks.at(task.block.index()).ops) {
            if (const auto* communication = std::get_if<CommOp>(&op.op)) {
                table.add(program.groups.at(group_id(*communication).index()).kind,
                          traffic_op(*communication),
                          {.count = 1, .payload = payload(*communication)});
            }
        }
    }
    return table.volumes();
}

}  // namespace traindyno
