// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/inventory_text.hpp"

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"

namespace traindyno {

std::string to_text(const GpuInventory& inventory) {
    std::string text;
    for (const GpuDescription& gpu : inventory.devices) {
        text += fmt::format("{}GPU {}: {}, sm_{}, {} SMs, {}, {}, {}",
                            text.empty() ? "" : "\n",
                            gpu.ordinal,
                            gpu.name,
                            gpu.capability,
                            gpu.multiprocessors,
                            format_bytes(gpu.memory),
                            gpu.uuid,
                            gpu.pci_bus_id);
    }
    if (inventory.devices.empty()) {
        text = fmt::format("GPU: none ({})", inventory.problem);
    }
    std::string libraries;
    for (const LibraryVersion& library : inventory.libraries) {
        libraries +=
            fmt::format("{}{} {}", libraries.empty() ? "" : ", ", library.name, library.version);
    }
    return libraries.empty() ? text : fmt::format("{}\nGPU libraries: {}", text, libraries);
}

}  // namespace traindyno
