// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/program_set.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "emulator/program/verification.hpp"

namespace traindyno {

ProgramSet::ProgramSet(std::span<const StepProgram> programs) : programs_(programs) {
    using Key = std::pair<GroupKind, std::vector<WorldRank>>;
    std::map<Key, std::uint32_t> numbers;
    for (std::size_t program = 0; program < programs.size(); ++program) {
        const std::size_t rank = programs[program].rank.index();
        of_rank_.resize(std::max(of_rank_.size(), rank + 1), -1);
        of_rank_[rank] = static_cast<std::int64_t>(program);
        std::vector<std::uint32_t>& own = of_program_.emplace_back();
        for (const Group& group : programs[program].groups) {
            const auto number = static_cast<std::uint32_t>(numbers.size());
            const auto [at, added] = numbers.try_emplace({group.kind, group.members}, number);
            if (added) {
                groups_.push_back({.group = &group, .present = 0});
            }
            own.push_back(at->second);
            ++groups_[at->second].present;
        }
    }
}

std::optional<std::size_t> ProgramSet::program_of(WorldRank rank) const {
    if (rank.index() >= of_rank_.size() || of_rank_[rank.index()] < 0) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(of_rank_[rank.index()]);
}

void ProgramSet::check_groups(Findings& findings) const {
    for (std::uint32_t number = 0; number < groups_.size(); ++number) {
        for (const WorldRank member : groups_[number].group->members) {
            const std::optional<std::size_t> program = program_of(member);
            if (!program) {
                continue;
            }
            const auto& own = of_program_[*program];
            if (std::find(own.begin(), own.end(), number) == own.end()) {
                findings.add(fmt::format("rank {} does not know the {} that another member has",
                                         member.value(),
                                         description_of(*groups_[number].group)));
            }
        }
    }
}

}  // namespace traindyno
