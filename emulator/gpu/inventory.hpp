// SPDX-License-Identifier: Apache-2.0
// Which CUDA devices and libraries this process finds.
#pragma once

#include "emulator/gpu/module.hpp"

namespace traindyno {

[[nodiscard]] GpuInventory cuda_inventory();

}  // namespace traindyno
