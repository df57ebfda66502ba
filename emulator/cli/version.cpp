// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/version.hpp"

#include <fmt/format.h>

#include "collectives/mpi/session.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/gpu/inventory_text.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

std::string version() {
    return TRAINDYNO_VERSION;
}

std::string version_text() {
    return fmt::format("traindyno {}\n{}\n{}\n{}",
                       version(),
                       MpiSession::version(),
                       cpu_compute_library(),
                       to_text(gpu_inventory()));
}

}  // namespace traindyno
