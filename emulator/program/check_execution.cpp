// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "emulator/program/execution.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

namespace {

void report_head(const RankProgress& rank, Lane lane, Findings& findings) {
    const auto head = rank.head(lane);
    if (!head) {
        return;
    }
    const StepProgram& program = rank.order().program();
    const IssuedOp& op = rank.order().ops()[*head];
    std::string text = place_of(program, op.task, op.in_block);
    if (const auto* communication = std::get_if<CommOp>(&rank.order().block_op(*head).op)) {
        text += fmt::format(", {},", description_of(program, *communication));
    }
    if (rank.arrived(lane)) {
        text += " waits for its peers";
    } else if (const auto earlier = rank.missing(*head)) {
        const IssuedOp& cause = rank.order().ops()[*earlier];
        text += fmt::format(" waits for task {} op {}", cause.task.value(), cause.in_block);
    }
    findings.add(std::move(text));
}

}  // namespace

void check_execution(const ProgramSet& set, Findings& findings) {
    Execution execution(set);
    execution.run();
    const auto ranks = execution.ranks();
    const auto stuck = std::count_if(
        ranks.begin(), ranks.end(), [](const RankProgress& rank) { return !rank.finished(); });
    if (stuck == 0) {
        return;
    }
    findings.add(fmt::format("deadlock: {} of {} ranks cannot finish", stuck, ranks.size()));
    for (const RankProgress& rank : ranks) {
        for (std::size_t lane = 0; lane < enum_count<Lane>; ++lane) {
            report_head(rank, static_cast<Lane>(lane), findings);
        }
    }
}

}  // namespace traindyno
