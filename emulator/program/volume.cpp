// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/volume.hpp"

#include "emulator/program/volume_table.hpp"

namespace traindyno {

namespace {

VolumeTable::Tally tally_of(const CommOp& op, GroupRank rank) {
    VolumeTable::Tally tally{.count = 1, .payload = payload(op)};
    const auto* exchange = std::get_if<Collective>(&op);
    if (exchange != nullptr && !exchange->sent.empty()) {
        tally.uneven = tally.payload;
        tally.uneven_sent =
            size_of(exchange->input.elements - exchange->sent[rank.index()], exchange->dtype);
    }
    return tally;
}

}  // namespace

std::vector<Volume> counted_volumes(const StepProgram& program) {
    VolumeTable table;
    for (const Group& group : program.groups) {
        table.set_ranks(group.kind, group.size());
    }
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks.at(task.block.index()).ops) {
            if (const auto* communication = std::get_if<CommOp>(&op.op)) {
                const Group& group = program.groups.at(group_id(*communication).index());
                table.add(group.kind,
                          traffic_op(*communication),
                          tally_of(*communication, group.rank_of(program.rank)));
            }
        }
    }
    return table.volumes();
}

}  // namespace traindyno
