// SPDX-License-Identifier: Apache-2.0
// Clips gradients by their norm and updates the weights.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// Groups over which the gradient norm is summed; absent where they have one rank.
struct NormGroups {
    std::optional<GroupId> model;
    std::optional<GroupId> shards;     ///< ranks with other shards of the same gradients
    std::optional<GroupId> experts{};  ///< ranks with other experts, where `shards` are not
};

/// Gradients whose squares are summed, each in one place.
struct NormPieces {
    std::vector<Slice> experts;  ///< summed over NormGroups::experts before all else
    std::vector<Slice> others;
};

/// `updates` without sharding, experts apart from all else.
[[nodiscard]] NormPieces norm_pieces_apart(const ParameterMap& map);

/// `updates` are this rank's share of the optimizer's work; the norm is summed in `norm`.
[[nodiscard]] Block optimizer_block(const StageContext& stage,
                                    const std::vector<OptimizerStep>& updates,
                                    const Slice& norm,
                                    const NormGroups& groups);

}  // namespace traindyno
