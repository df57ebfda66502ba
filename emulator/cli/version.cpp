// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/version.hpp"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include "collectives/mpi/session.hpp"

namespace traindyno {

std::string version() {
    return TRAINDYNO_VERSION;
}

std::string compute_library() {
    const dnnl_version_t* library = dnnl_version();
    return fmt::format("oneDNN {}.{}.{}", library->major, library->minor, library->patch);
}

std::string version_text() {
    return fmt::format("traindyno {}\n{}\n{}", version(), MpiSession::version(), compute_library());
}

}  // namespace traindyno
