// SPDX-License-Identifier: Apache-2.0
#include "collectives/reduce/fp16_blocks.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace traindyno {

namespace {

#if defined(__x86_64__)

constexpr std::size_t lanes = 8;

// g++ 12 does not find these instructions in the loops of bit operations that they replace.
[[gnu::target("avx,f16c")]] std::size_t widen_lanes(const Fp16* from,
                                                    float* to,
                                                    std::size_t count) {
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
    }
    return i;
}

[[gnu::target("avx,f16c")]] std::size_t round_lanes(const float* from,
                                                    Fp16* to,
                                                    std::size_t count) {
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const __m256 values = _mm256_loadu_ps(from + i);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
    }
    return i;
}

bool has_instructions() {
    // Every processor with AVX2 has F16C, which clang 14 does not know by name.
    static const bool result = __builtin_cpu_supports("avx2");
    return result;
}

#else

std::size_t widen_lanes(const Fp16* /*from*/, float* /*to*/, std::size_t /*count*/) {
    return 0;
}

std::size_t round_lanes(const float* /*from*/, Fp16* /*to*/, std::size_t /*count*/) {
    return 0;
}

bool has_instructions() {
    return false;
}

#endif

}  // namespace

void widen(const Fp16* from, float* to, std::size_t count) {
    for (std::size_t i = has_instructions() ? widen_lanes(from, to, count) : 0; i < count; ++i) {
        to[i] = to_float(from[i]);
    }
}

void round(const float* from, Fp16* to, std::size_t count) {
    for (std::size_t i = has_instructions() ? round_lanes(from, to, count) : 0; i < count; ++i) {
        to[i] = to_fp16(from[i]);
    }
}

}  // namespace traindyno
