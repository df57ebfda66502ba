// SPDX-License-Identifier: Apache-2.0
#include "collectives/bf16.hpp"

#include <cstddef>

#include "emulator/base/error.hpp"

namespace traindyno {

void add_bf16(std::span<const Bf16> from, std::span<Bf16> into) {
    TD_EXPECT(from.size() == into.size());
    const Bf16* const source = from.data();
    Bf16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_bf16(to_float(target[i]) + to_float(source[i]));
    }
}

void max_bf16(std::span<const Bf16> from, std::span<Bf16> into) {
    TD_EXPECT(from.size() == into.size());
    const Bf16* const source = from.data();
    Bf16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_float(target[i]) < to_float(source[i]) ? source[i] : target[i];
    }
}

}  // namespace traindyno
