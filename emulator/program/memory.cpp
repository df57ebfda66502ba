// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/memory.hpp"

namespace traindyno {

std::vector<MemoryItem> memory_items(const StepProgram& program) {
    const Extents& extents = program.extents;
    const DType storage = storage_type(program.precision);
    const Bytes state = size_of(extents.parameter, DType::fp32);
    return {{.name = "weights", .bytes = size_of(extents.parameter, storage)},
            {.name = "gradients", .bytes = state},
            {.name = "master_weights", .bytes = state},
            {.name = "adam_m", .bytes = state},
            {.name = "adam_v", .bytes = state},
            {.name = "activations", .bytes = size_of(extents.saved, storage)},
            {.name = "workspace",
             .bytes = size_of(extents.workspace, storage) + size_of(extents.scalar, DType::fp32)}};
}

Bytes total(const std::vector<MemoryItem>& items) {
    Bytes sum;
    for (const MemoryItem& item : items) {
        sum += item.bytes;
    }
    return sum;
}

}  // namespace traindyno
