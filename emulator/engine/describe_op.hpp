// SPDX-License-Identifier: Apache-2.0
// One line about an operation, for reports of hangs.
#pragma once

#include <string>

#include "emulator/program/issue_order.hpp"

namespace traindyno {

/// "  dp of layer_backward, micro-batch 3, layer 7: 4096 bytes in the dp group of 8 ranks".
[[nodiscard]] std::string describe(const IssueOrder& order, OpIndex index);

}  // namespace traindyno
