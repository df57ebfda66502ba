// SPDX-License-Identifier: Apache-2.0
// Bytes a rank needs for its step program, item by item.
#pragma once

#include <string>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

struct MemoryItem {
    std::string
        name;  ///< weights, gradients, master_weights, adam_m, adam_v, activations, workspace
    Bytes bytes;

    friend bool operator==(const MemoryItem&, const MemoryItem&) = default;
};

/// Exactly what a device allocates for `program`; scalars count as workspace.
[[nodiscard]] std::vector<MemoryItem> memory_items(const StepProgram& program);

[[nodiscard]] Bytes total(const std::vector<MemoryItem>& items);

}  // namespace traindyno
