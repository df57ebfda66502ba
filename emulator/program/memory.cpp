// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/memory.hpp"

namespace traindyno {

std::vector<MemoryItem> memory_items(const StepProgram& program) {
    const auto bytes = [&](Space space) {
        return size_of(extent_of(program.extents, space), dtype_in(program, space));
    };
    return {{.name = "weights", .bytes = bytes(Space::parameter)},
            {.name = "gradients", .bytes = bytes(Space::gradient)},
            {.name = "master_weights", .bytes = bytes(Space::master)},
            {.name = "adam_m", .bytes = bytes(Space::adam_m)},
            {.name = "adam_v", .bytes = bytes(Space::adam_v)},
            {.name = "activations", .bytes = bytes(Space::saved)},
            {.name = "workspace", .bytes = bytes(Space::workspace) + bytes(Space::scalar)}};
}

Bytes total(const std::vector<MemoryItem>& items) {
    Bytes sum;
    for (const MemoryItem& item : items) {
        sum += item.bytes;
    }
    return sum;
}

}  // namespace traindyno
