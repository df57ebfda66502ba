// SPDX-License-Identifier: Apache-2.0
// What the NCCL tests that run under mpirun share: the device of this rank and set-up.
#pragma once

#include <string>
#include <vector>

#include "collectives/nccl/nccl_options.hpp"

namespace traindyno::test {

/// Why there is no GPU for this rank; "" where there is one, which is then current. At its first
/// call NCCL's environment is set, for ranks that may share a GPU where there are several: call it
/// before anything else touches CUDA.
[[nodiscard]] std::string gpu_missing();

[[nodiscard]] NcclOptions nccl_test_options();

/// What NCCL said of its set-up.
[[nodiscard]] std::vector<std::string> nccl_topology();

}  // namespace traindyno::test
