// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/combine.hpp"

#include <array>

#include "collectives/reduce/reduce.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

void combine(DType type,
             Reduction reduction,
             std::span<const std::byte> from,
             std::span<std::byte> into) {
    TD_EXPECT(from.size() == into.size());
    const std::array<const std::byte*, 2> inputs{into.data(), from.data()};
    const std::array<std::byte*, 1> outputs{into.data()};
    const Reduction hop = reduction == Reduction::average ? Reduction::sum : reduction;
    reduce(inputs, outputs, into.size(), {.type = type, .reduction = hop}, Stores::cached);
}

}  // namespace traindyno
