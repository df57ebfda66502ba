// SPDX-License-Identifier: Apache-2.0
// What the element-wise kinds expect of their operands, on every device.
#pragma once

#include <string>
#include <vector>

#include "emulator/program/op.hpp"

namespace traindyno {

/// Every reason why the operands of `op` cannot be executed. Empty when they can.
[[nodiscard]] std::vector<std::string> problems_of(const Elementwise& op);

}  // namespace traindyno
