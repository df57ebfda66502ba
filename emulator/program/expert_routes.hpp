// SPDX-License-Identifier: Apache-2.0
// Which tokens go to which experts: given in closed form, so that every rank knows all counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Tokens of `tokens` that visit each expert, `top_k` experts each, by popularity: expert i gets a
/// share in proportion to 1 / (i + 1)^skew (Zipf's law), at most every token; what is above goes to
/// the others in the same proportion. Rounded down, what is left to the most popular, one each: the
/// sum is tokens * top_k.
[[nodiscard]] std::vector<std::int64_t> expert_loads(std::int64_t experts,
                                                     std::int64_t tokens,
                                                     std::int64_t top_k,
                                                     double skew);

/// Slots that every expert has for the tokens of one rank: its equal share times the factor,
/// rounded up, at most `tokens` (Megatron-LM, moe_utils.py, get_capacity).
[[nodiscard]] std::int64_t expert_capacity(std::int64_t experts,
                                           std::int64_t tokens,
                                           std::int64_t top_k,
                                           double capacity_factor);

/// How the slots of one rank's tokens, one row each, are divided among the experts: member by
/// member of the expert-parallel group, expert by expert. The same on every rank. Popular experts
/// are dealt out among the members, the most popular to the first.
class ExpertRoutes {
  public:
    ExpertRoutes() = default;
    /// `tokens` of a micro-batch on one rank.
    ExpertRoutes(const Model& model,
                 const Layout& layout,
                 const TrainingSetup& setup,
                 std::int64_t tokens);

    [[nodiscard]] std::int64_t members() const { return members_; }

    [[nodiscard]] std::int64_t experts_of_member() const { return experts_of_member_; }

    /// Rows that a rank sends to the `local`-th expert of `member`.
    [[nodiscard]] std::int64_t rows(std::int64_t member, std::int64_t local) const {
        return rows_[static_cast<std::size_t>(member * experts_of_member_ + local)];
    }

    /// Rows that a rank sends to `member`.
    [[nodiscard]] std::int64_t rows_to(std::int64_t member) const;
    /// Rows that a rank sends.
    [[nodiscard]] std::int64_t sent() const;

    /// Rows that `member` gets from all.
    [[nodiscard]] std::int64_t received(std::int64_t member) const {
        return members_ * rows_to(member);
    }

    /// Whether all members get equally many rows.
    [[nodiscard]] bool equal_parts() const;

  private:
    std::int64_t members_ = 1;
    std::int64_t experts_of_member_ = 0;
    std::vector<std::int64_t> rows_;  ///< [members, experts of one]
};

/// Every reason why the experts of `model` cannot be divided or fed so. Its other problems are told
/// elsewhere; sizes are in range.
[[nodiscard]] std::vector<std::string> problems_of_experts(const Model& model,
                                                           const Layout& layout,
                                                           const TrainingSetup& setup);

}  // namespace traindyno
