// SPDX-License-Identifier: Apache-2.0
#include "collectives/divide.hpp"

#include "collectives/reduce/reduce.hpp"

namespace traindyno {

void divide_elements(std::span<std::byte> elements, DType type, std::int64_t divisor) {
    std::byte* const data = elements.data();
    const std::byte* const input = data;
    reduce({&input, 1},
           {&data, 1},
           elements.size(),
           {.type = type, .reduction = Reduction::average, .members = divisor},
           Stores::cached);
}

}  // namespace traindyno
