// SPDX-License-Identifier: Apache-2.0
// The last step of an average.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "emulator/base/dtype.hpp"

namespace traindyno {

/// Divides each element. Integers round towards zero; 16-bit types divide in fp32 and round once.
void divide_elements(std::span<std::byte> elements, DType type, std::int64_t divisor);

}  // namespace traindyno
