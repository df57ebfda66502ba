// SPDX-License-Identifier: Apache-2.0
// Steps on an NVIDIA GPU: NCCL on streams, or MPI through host memory.
#pragma once

#include <memory>

#include "emulator/engine/backend.hpp"
#include "emulator/gpu/gpu_options.hpp"

namespace traindyno {

[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend(const GpuOptions& options);

}  // namespace traindyno
