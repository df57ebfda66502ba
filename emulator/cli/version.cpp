// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/version.hpp"

#include <fmt/format.h>

#include "collectives/mpi/session.hpp"
#include "emulator/device/cpu/cpu_device.hpp"

namespace traindyno {

std::string version() {
    return TRAINDYNO_VERSION;
}

std::string version_text() {
    return fmt::format(
        "traindyno {}\n{}\n{}", version(), MpiSession::version(), cpu_compute_library());
}

}  // namespace traindyno
