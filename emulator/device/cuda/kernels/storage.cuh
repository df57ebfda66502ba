// SPDX-License-Identifier: Apache-2.0
// Loading and storing vectors of fp32, bf16 and fp16, and fast arithmetic in fp32.
#pragma once

#include <cstring>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "emulator/device/cuda/kernels/geometry.hpp"

namespace traindyno::cuda {

template <class T>
inline constexpr int full_width = vector_bytes / static_cast<int>(sizeof(T));

/// `width` neighbouring elements, moved by one instruction.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
    T values[width];
};

template <int bytes>
struct WordOf;

template <>
struct WordOf<2> {
    using Type = unsigned short;
};

template <>
struct WordOf<4> {
    using Type = unsigned int;
};

template <>
struct WordOf<8> {
    using Type = uint2;
};

template <>
struct WordOf<16> {
    using Type = uint4;
};

template <class T, int width>
using Word = typename WordOf<static_cast<int>(sizeof(T)) * width>::Type;

template <class T, int width>
__device__ __forceinline__ Pack<T, width> as_pack(const Word<T, width>& word) {
    Pack<T, width> pack;
    memcpy(&pack, &word, sizeof pack);
    return pack;
}

/// Of data that no one reads soon: evicted first from the caches.
template <int width, class T>
__device__ __forceinline__ Pack<T, width> load_once(const T* from) {
    return as_pack<T, width>(__ldcs(reinterpret_cast<const Word<T, width>*>(from)));
}

/// Of data that is read by many blocks and written by none: kept in the L1 cache.
template <int width, class T>
__device__ __forceinline__ Pack<T, width> load_shared(const T* from) {
    return as_pack<T, width>(__ldg(reinterpret_cast<const Word<T, width>*>(from)));
}

template <int width, class T>
__device__ __forceinline__ Pack<T, width> load(const T* from) {
    return as_pack<T, width>(*reinterpret_cast<const Word<T, width>*>(from));
}

template <class T, int width>
__device__ __forceinline__ Word<T, width> as_word(const Pack<T, width>& pack) {
    Word<T, width> word;
    memcpy(&word, &pack, sizeof word);
    return word;
}

template <class T, int width>
__device__ __forceinline__ void store(T* to, const Pack<T, width>& pack) {
    *reinterpret_cast<Word<T, width>*>(to) = as_word(pack);
}

/// For data that no one reads soon.
template <class T, int width>
__device__ __forceinline__ void store_once(T* to, const Pack<T, width>& pack) {
    __stcs(reinterpret_cast<Word<T, width>*>(to), as_word(pack));
}

__device__ __forceinline__ float to_float(float value) {
    return value;
}

__device__ __forceinline__ float to_float(__nv_bfloat16 value) {
    return __bfloat162float(value);
}

__device__ __forceinline__ float to_float(__half value) {
    return __half2float(value);
}

// Rounding to nearest even; two values share one instruction.
__device__ __forceinline__ void put(float* to, float value) {
    *to = value;
}

__device__ __forceinline__ void put(__nv_bfloat16* to, float value) {
    *to = __float2bfloat16_rn(value);
}

__device__ __forceinline__ void put(__half* to, float value) {
    *to = __float2half_rn(value);
}

__device__ __forceinline__ void put_pair(float* to, float first, float second) {
    to[0] = first;
    to[1] = second;
}

__device__ __forceinline__ void put_pair(__nv_bfloat16* to, float first, float second) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    to[0] = pair.x;
    to[1] = pair.y;
}

__device__ __forceinline__ void put_pair(__half* to, float first, float second) {
    const __half2 pair = __floats2half2_rn(first, second);
    to[0] = __low2half(pair);
    to[1] = __high2half(pair);
}

template <class T, int width>
__device__ __forceinline__ Pack<T, width> packed(const float (&values)[width]) {
    Pack<T, width> pack;
    if constexpr (width == 1) {
        put(pack.values, values[0]);
    } else {
#pragma unroll
        for (int i = 0; i < width; i += 2) {
            put_pair(pack.values + i, values[i], values[i + 1]);
        }
    }
    return pack;
}

inline constexpr float log2_e = 1.44269504F;

/// 2^x, relative error 2^-22; 0 below -126.
__device__ __forceinline__ float exp2_fast(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

/// 1 / (1 + e^-x) by two instructions of the special-function unit: an exact division would make
/// GELU slower than memory.
__device__ __forceinline__ float sigmoid(float x) {
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0F + exp2_fast(-log2_e * x)));
    return result;
}

}  // namespace traindyno::cuda
