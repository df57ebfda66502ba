// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/verify.hpp"

#include "emulator/base/overloaded.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

std::string place_of(const StepProgram& program, TaskId task, std::uint32_t op) {
    const Task& at = program.tasks.at(task.index());
    return fmt::format("rank {} task {} ({}, micro-batch {}, layer {}) op {}",
                       program.rank.value(),
                       task.value(),
                       program.blocks.at(at.block.index()).name,
                       at.micro_batch.value(),
                       at.layer.value(),
                       op);
}

std::string description_of(const Group& group) {
    std::string members;
    for (const WorldRank member : group.members) {
        members += fmt::format("{}{}", members.empty() ? "" : ", ", member.value());
    }
    return fmt::format("{} group {{{}}}", to_string(group.kind), members);
}

std::string description_of(const StepProgram& program, const CommOp& op) {
    const std::string group = description_of(program.groups.at(group_id(op).index()));
    const std::int64_t bytes = payload(op).value();
    return std::visit(Overloaded{[&](const Collective& collective) {
                                     return fmt::format("{} of {} bytes {} {} in {}",
                                                        to_string(collective.kind),
                                                        bytes,
                                                        to_string(collective.dtype),
                                                        to_string(collective.reduction),
                                                        group);
                                 },
                                 [&](const Send& send) {
                                     return fmt::format("send of {} bytes {} to peer {} of {}",
                                                        bytes,
                                                        to_string(send.dtype),
                                                        send.peer.value(),
                                                        group);
                                 },
                                 [&](const Recv& recv) {
                                     return fmt::format("recv of {} bytes {} from peer {} of {}",
                                                        bytes,
                                                        to_string(recv.dtype),
                                                        recv.peer.value(),
                                                        group);
                                 }},
                      op);
}

namespace {

std::vector<std::string> verify_set(std::span<const StepProgram> programs, Findings& findings) {
    if (!findings.empty()) {
        return findings.take();
    }
    check_micro_batches(programs, findings);
    const ProgramSet set(programs);
    set.check_groups(findings);
    if (!findings.empty()) {
        return findings.take();
    }
    check_traffic(set, findings);
    if (findings.empty()) {
        check_execution(set, findings);
    }
    return findings.take();
}

}  // namespace

std::vector<std::string> verify(std::span<const StepProgram> programs) {
    Findings findings;
    const auto ranks = static_cast<std::int64_t>(programs.size());
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
        check_program(programs[static_cast<std::size_t>(rank)], WorldRank{rank}, ranks, findings);
    }
    return verify_set(programs, findings);
}

std::vector<std::string> verify_stages(std::span<const StepProgram> programs, std::int64_t ranks) {
    Findings findings;
    for (const StepProgram& program : programs) {
        check_program(program, program.rank, ranks, findings);
    }
    return verify_set(programs, findings);
}

}  // namespace traindyno
