// SPDX-License-Identifier: Apache-2.0
// Programs of several ranks, and the groups they share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "emulator/program/findings.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// All ranks of a job, or some that stand for the others. A view of the programs.
class ProgramSet {
  public:
    explicit ProgramSet(std::span<const StepProgram> programs);

    /// A group of any of the programs.
    struct SharedGroup {
        const Group* group = nullptr;
        std::int64_t present = 0;  ///< members that have a program here
    };

    [[nodiscard]] std::span<const StepProgram> programs() const { return programs_; }

    [[nodiscard]] std::span<const SharedGroup> groups() const { return groups_; }

    /// Index into groups() of a group of the index-th program.
    [[nodiscard]] std::uint32_t group_of(std::size_t program, GroupId group) const {
        return of_program_[program][group.index()];
    }

    /// Index of the rank's program; nothing where it has none here.
    [[nodiscard]] std::optional<std::size_t> program_of(WorldRank rank) const;

    /// Members of a group that have programs here all know it with the same members.
    void check_groups(Findings& findings) const;

  private:
    std::span<const StepProgram> programs_;
    std::vector<SharedGroup> groups_;
    std::vector<std::vector<std::uint32_t>> of_program_;
    std::vector<std::int64_t> of_rank_;  ///< -1: none
};

}  // namespace traindyno
