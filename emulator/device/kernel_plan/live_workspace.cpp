// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/live_workspace.hpp"

#include <cstddef>
#include <optional>
#include <utility>

#include "emulator/program/slice_use.hpp"

namespace traindyno {

namespace {

/// What is live before a block when `live` is live after it.
IntervalSet live_before(const Block& block, IntervalSet live) {
    for (std::size_t op = block.ops.size(); op-- > 0;) {
        const std::vector<SliceUse> uses = slices_of(block.ops[op].op);
        for (const Access access : {Access::write, Access::read}) {
            for (const SliceUse& use : uses) {
                if (use.access != access || use.slice.space != Space::workspace) {
                    continue;
                }
                const std::int64_t end = use.slice.offset + use.slice.elements;
                if (access == Access::write) {
                    live.remove(use.slice.offset, end);
                } else {
                    live.add(use.slice.offset, end);
                }
            }
        }
    }
    return live;
}

}  // namespace

std::vector<IntervalSet> live_workspace(const StepProgram& program) {
    struct Seen {
        IntervalSet after;
        IntervalSet before;
    };

    std::vector<IntervalSet> live_after(program.blocks.size());
    std::vector<std::optional<Seen>> last_seen(program.blocks.size());
    IntervalSet live;
    for (std::size_t task = program.tasks.size(); task-- > 0;) {
        const std::size_t block = program.tasks[task].block.index();
        auto& seen = last_seen[block];
        if (!seen || seen->after != live) {
            live_after[block].add(live);
            seen = Seen{.after = live, .before = live_before(program.blocks[block], live)};
        }
        live = seen->before;
    }
    return live_after;
}

}  // namespace traindyno
