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

/// The float that half of a register holds: 0 the lower, 1 the upper one.
__device__ __forceinline__ float half_of(__nv_bfloat16 /*type*/, unsigned int part, int which) {
    return __uint_as_float(which == 0 ? part << 16U : part & 0xffff0000U);
}

__device__ __forceinline__ float half_of(__half /*type*/, unsigned int part, int which) {
    return __half2float(
        __ushort_as_half(static_cast<unsigned short>(which == 0 ? part & 0xffffU : part >> 16U)));
}

/// `width` neighbouring elements, moved by one instruction; in registers as they are in memory.
template <class T, int width>
struct Pack {
    static constexpr int bytes = static_cast<int>(sizeof(T)) * width;

    unsigned int parts[bytes < 4 ? 1 : bytes / 4];

    __device__ __forceinline__ float operator[](int i) const {
        if constexpr (sizeof(T) == 4) {
            return __uint_as_float(parts[i]);
        } else {
            return half_of(T{}, parts[i / 2], i % 2);
        }
    }
};

template <class T, int width>
__device__ __forceinline__ Pack<T, width> as_pack(const Word<T, width>& word) {
    Pack<T, width> pack;
    if constexpr (Pack<T, width>::bytes == 2) {
        pack.parts[0] = word;
    } else {
        memcpy(&pack, &word, sizeof pack);
    }
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
    if constexpr (Pack<T, width>::bytes == 2) {
        word = static_cast<unsigned short>(pack.parts[0]);
    } else {
        memcpy(&word, &pack, sizeof word);
    }
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

// Rounding to nearest even.
__device__ __forceinline__ void put(float* to, float value) {
    *to = value;
}

__device__ __forceinline__ void put(__nv_bfloat16* to, float value) {
    *to = __float2bfloat16_rn(value);
}

__device__ __forceinline__ void put(__half* to, float value) {
    *to = __float2half_rn(value);
}

/// Two values in one register, by one instruction.
__device__ __forceinline__ unsigned int pair_of(__nv_bfloat16 /*type*/, float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    unsigned int part;
    memcpy(&part, &pair, sizeof part);
    return part;
}

__device__ __forceinline__ unsigned int pair_of(__half /*type*/, float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    unsigned int part;
    memcpy(&part, &pair, sizeof part);
    return part;
}

template <class T, int width>
__device__ __forceinline__ Pack<T, width> packed(const float (&values)[width]) {
    Pack<T, width> pack;
#pragma unroll
    for (int i = 0; i < width; i += sizeof(T) == 4 ? 1 : 2) {
        if constexpr (sizeof(T) == 4) {
            pack.parts[i] = __float_as_uint(values[i]);
        } else {
            pack.parts[i / 2] = pair_of(T{}, values[i], width == 1 ? 0.0F : values[i + 1]);
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
