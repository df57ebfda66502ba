// SPDX-License-Identifier: Apache-2.0
#include "collectives/half_types.hpp"

#include <cstddef>

#include "emulator/base/error.hpp"

// Builds for the oldest x86-64 and picks wider vectors when the program starts.
#if defined(__x86_64__)
#define TD_WIDEST_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define TD_WIDEST_VECTORS
#endif

namespace traindyno {

TD_WIDEST_VECTORS
void add_halves(std::span<const Bf16> from, std::span<Bf16> into) {
    TD_EXPECT(from.size() == into.size());
    const Bf16* const source = from.data();
    Bf16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_bf16(to_float(target[i]) + to_float(source[i]));
    }
}

TD_WIDEST_VECTORS
void add_halves(std::span<const Fp16> from, std::span<Fp16> into) {
    TD_EXPECT(from.size() == into.size());
    const Fp16* const source = from.data();
    Fp16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_fp16(to_float(target[i]) + to_float(source[i]));
    }
}

TD_WIDEST_VECTORS
void max_halves(std::span<const Bf16> from, std::span<Bf16> into) {
    TD_EXPECT(from.size() == into.size());
    const Bf16* const source = from.data();
    Bf16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_float(target[i]) < to_float(source[i]) ? source[i] : target[i];
    }
}

TD_WIDEST_VECTORS
void max_halves(std::span<const Fp16> from, std::span<Fp16> into) {
    TD_EXPECT(from.size() == into.size());
    const Fp16* const source = from.data();
    Fp16* const target = into.data();
    for (std::size_t i = 0; i < into.size(); ++i) {
        target[i] = to_float(target[i]) < to_float(source[i]) ? source[i] : target[i];
    }
}

}  // namespace traindyno
