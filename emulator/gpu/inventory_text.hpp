// SPDX-License-Identifier: Apache-2.0
// GPUs and libraries found, for people.
#pragma once

#include <string>

#include "emulator/gpu/module.hpp"

namespace traindyno {

/// A line per GPU, or one that says why there is none, and one with the libraries, if any:
///     GPU 0: NVIDIA H200, sm_90, 132 SMs, 139.8 GiB, GPU-6f1a..., 0000:1b:00.0
///     GPU libraries: CUDA driver 13.0, CUDA runtime 13.0, cuBLASLt 13.1.0, NCCL 2.28.9
/// Ends without a line break.
[[nodiscard]] std::string to_text(const GpuInventory& inventory);

}  // namespace traindyno
