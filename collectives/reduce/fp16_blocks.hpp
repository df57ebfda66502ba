// SPDX-License-Identifier: Apache-2.0
// fp16 to fp32 and back by the processor's own instructions, where it has them.
#pragma once

#include <cstddef>

#include "collectives/half_types.hpp"

namespace traindyno {

void widen(const Fp16* from, float* to, std::size_t count);
/// To nearest, ties to even.
void round(const float* from, Fp16* to, std::size_t count);

}  // namespace traindyno
