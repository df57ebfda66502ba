// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/exchange_partners.hpp"

#include <cstddef>
#include <variant>

namespace traindyno {

namespace {

/// Marks members with a part; equal parts, which are not listed, go to all.
void mark(const std::vector<std::int64_t>& parts, std::vector<std::uint8_t>& partners) {
    for (std::size_t member = 0; member < partners.size(); ++member) {
        if (parts.empty() || parts[member] > 0) {
            partners[member] = 1;
        }
    }
}

}  // namespace

std::vector<ExchangePartners> exchange_partners(const StepProgram& program) {
    std::vector<ExchangePartners> partners(program.groups.size());
    for (const Block& block : program.blocks) {
        for (const BlockOp& op : block.ops) {
            const auto* communication = std::get_if<CommOp>(&op.op);
            const auto* collective =
                communication == nullptr ? nullptr : std::get_if<Collective>(communication);
            if (collective == nullptr || collective->kind != CollectiveKind::all_to_all) {
                continue;
            }
            const std::size_t group = collective->group.index();
            const auto members = static_cast<std::size_t>(program.groups[group].size());
            partners[group].sent_to.resize(members);
            partners[group].received_from.resize(members);
            mark(collective->sent, partners[group].sent_to);
            mark(collective->received, partners[group].received_from);
        }
    }
    return partners;
}

}  // namespace traindyno
