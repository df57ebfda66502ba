// SPDX-License-Identifier: Apache-2.0
// Clips gradients by their norm and updates the weights.
#pragma once

#include <optional>
#include <vector>

#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// `pieces` are the gradients; the norm, in `norm`, is summed over `model_group`.
[[nodiscard]] Block optimizer_block(const StageContext& stage,
                                    const std::vector<Slice>& pieces,
                                    const Slice& norm,
                                    std::optional<GroupId> model_group);

}  // namespace traindyno
