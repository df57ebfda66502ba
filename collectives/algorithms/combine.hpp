// SPDX-License-Identifier: Apache-2.0
// The arithmetic of plans, on whole elements.
#pragma once

#include <cstddef>
#include <span>

#include "emulator/base/dtype.hpp"
#include "emulator/base/reduction.hpp"

namespace traindyno {

/// into <- into (+) from; an average adds up first. 16-bit types compute in fp32 and round once.
/// Sums of integers wrap around.
void combine(DType type,
             Reduction reduction,
             std::span<const std::byte> from,
             std::span<std::byte> into);

}  // namespace traindyno
