// SPDX-License-Identifier: Apache-2.0
// Blocks of a program and their operations, by name.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/program/step_program.hpp"
#include "emulator/program/volume_table.hpp"

namespace traindyno {

inline const Block& block_named(const StepProgram& program, std::string_view name) {
    const auto found = std::find_if(program.blocks.begin(),
                                    program.blocks.end(),
                                    [&](const Block& block) { return block.name == name; });
    TD_EXPECT(found != program.blocks.end());
    return *found;
}

/// Operations by name; compute kinds of Elementwise by their own.
inline std::vector<std::string> names_of(const Block& block) {
    std::vector<std::string> names;
    for (const BlockOp& op : block.ops) {
        if (const auto* compute = std::get_if<ComputeOp>(&op.op)) {
            if (const auto* elementwise = std::get_if<Elementwise>(compute)) {
                names.emplace_back(to_string(elementwise->kind));
            } else {
                constexpr std::array kinds{
                    "matmul", "attention_forward", "attention_backward", "", "optimizer_step"};
                names.emplace_back(kinds.at(compute->index()));
            }
        } else {
            names.emplace_back(to_string(traffic_op(std::get<CommOp>(op.op))));
        }
    }
    return names;
}

}  // namespace traindyno
