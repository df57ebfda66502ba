// SPDX-License-Identifier: Apache-2.0
// The cast kernel. A block casts a tile of 128 x 128 elements: each thread 4 rows of 16 columns,
// read and written 16 bytes at a time; the transpose goes through shared memory.
#include <cuda_fp8.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/fp8/fp8_cast.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

constexpr int tile = 128;
constexpr int threads = 256;
constexpr int columns_per_thread = 16;
constexpr int rows_per_thread = 4;
constexpr int groups = tile / columns_per_thread;  // of 16 columns, or of 16 rows, in a tile

/// How memory is accessed: 16 bytes at a time, or each element for itself within bounds.
enum class Access : std::uint8_t { vector, element };

struct CastArguments {
    const std::uint16_t* source;
    std::int64_t rows;
    std::int64_t columns;
    const float* scale;
    float* amax;
    std::uint8_t* plain;
    std::uint8_t* transposed;
};

/// 16 bf16 values of a row; zeros beyond the matrix.
struct Values {
    uint4 low;
    uint4 high;
};

template <Access access>
__device__ Values load(const CastArguments& cast, std::int64_t row, std::int64_t column) {
    Values values{};
    if (row >= cast.rows || column >= cast.columns) {
        return values;
    }
    const std::uint16_t* const from = cast.source + row * cast.columns + column;
    if constexpr (access == Access::vector) {
        const uint4* const vectors = reinterpret_cast<const uint4*>(from);
        values.low = vectors[0];
        values.high = vectors[1];
    } else {
        std::uint32_t words[8] = {};
#pragma unroll
        for (int i = 0; i < columns_per_thread; ++i) {
            if (column + i < cast.columns) {
                words[i / 2] |= std::uint32_t{from[i]} << (16 * (i % 2));
            }
        }
        values.low = make_uint4(words[0], words[1], words[2], words[3]);
        values.high = make_uint4(words[4], words[5], words[6], words[7]);
    }
    return values;
}

/// Two bf16 values to two fp8 values.
template <__nv_fp8_interpretation_t format>
__device__ std::uint32_t encode_pair(std::uint32_t pair, float scale, float& amax) {
    const float first = __uint_as_float(pair << 16);
    const float second = __uint_as_float(pair & 0xffff0000U);
    amax = fmaxf(amax, fmaxf(fabsf(first), fabsf(second)));  // fmaxf drops NaNs
    return __nv_cvt_float2_to_fp8x2(
        make_float2(first * scale, second * scale), __NV_SATFINITE, format);
}

template <__nv_fp8_interpretation_t format>
__device__ uint4 encode(const Values& values, float scale, float& amax) {
    const auto word = [&](std::uint32_t first, std::uint32_t second) {
        return encode_pair<format>(first, scale, amax) |
               (encode_pair<format>(second, scale, amax) << 16);
    };
    return make_uint4(word(values.low.x, values.low.y),
                      word(values.low.z, values.low.w),
                      word(values.high.x, values.high.y),
                      word(values.high.z, values.high.w));
}

/// Stores the first `count` of 16 bytes.
template <Access access>
__device__ void store(std::uint8_t* to, const uint4& bytes, std::int64_t count) {
    if constexpr (access == Access::vector) {
        *reinterpret_cast<uint4*>(to) = bytes;
    } else {
        const std::uint32_t words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
#pragma unroll
        for (int i = 0; i < 16; ++i) {
            if (i < count) {
                to[i] = static_cast<std::uint8_t>(words[i / 4] >> (8 * (i % 4)));
            }
        }
    }
}

/// Four columns of four rows: byte j of rows[i] becomes byte i of column j, which goes to
/// to[j * stride].
__device__ void transpose_4x4(const std::uint32_t (&rows)[4], std::uint32_t* to, int stride) {
    const std::uint32_t low01 = __byte_perm(rows[0], rows[1], 0x5140);
    const std::uint32_t low23 = __byte_perm(rows[2], rows[3], 0x5140);
    const std::uint32_t high01 = __byte_perm(rows[0], rows[1], 0x7362);
    const std::uint32_t high23 = __byte_perm(rows[2], rows[3], 0x7362);
    to[0] = __byte_perm(low01, low23, 0x5410);
    to[stride] = __byte_perm(low01, low23, 0x7632);
    to[2 * stride] = __byte_perm(high01, high23, 0x5410);
    to[3 * stride] = __byte_perm(high01, high23, 0x7632);
}

/// Largest value of the block into *amax. Magnitudes order as their bits do.
__device__ void raise(float* amax, float value) {
    for (int lane = warpSize / 2; lane > 0; lane /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, lane));
    }
    __shared__ float of_warp[threads / 32];
    if (threadIdx.x % 32 == 0) {
        of_warp[threadIdx.x / 32] = value;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int warp = 1; warp < threads / 32; ++warp) {
            value = fmaxf(value, of_warp[warp]);
        }
        atomicMax(reinterpret_cast<unsigned*>(amax), __float_as_uint(value));
    }
}

/// Writes the tile's transpose. Each column of the tile is 8 vectors of 16 rows; those of the g-th
/// 16 columns are rotated by g, which spreads both the writes and the reads over all banks.
template <Access access>
__device__ void store_transposed(const CastArguments& cast,
                                 const uint4 (&codes)[rows_per_thread],
                                 int group,
                                 int quad) {
    __shared__ uint4 columns[tile][groups];
    constexpr int words_per_column = tile / 4;
    std::uint32_t* const words = reinterpret_cast<std::uint32_t*>(columns);
    const int rotated = (quad + 4 * group) % words_per_column;
    std::uint32_t* const to = words + group * columns_per_thread * words_per_column + rotated;
    constexpr int step = 4 * words_per_column;
    transpose_4x4({codes[0].x, codes[1].x, codes[2].x, codes[3].x}, to, words_per_column);
    transpose_4x4({codes[0].y, codes[1].y, codes[2].y, codes[3].y}, to + step, words_per_column);
    transpose_4x4(
        {codes[0].z, codes[1].z, codes[2].z, codes[3].z}, to + 2 * step, words_per_column);
    transpose_4x4(
        {codes[0].w, codes[1].w, codes[2].w, codes[3].w}, to + 3 * step, words_per_column);
    __syncthreads();
    for (int item = static_cast<int>(threadIdx.x); item < tile * groups; item += threads) {
        const int in_tile = item / groups;
        const int part = item % groups;
        const std::int64_t column = std::int64_t{blockIdx.x} * tile + in_tile;
        const std::int64_t row = std::int64_t{blockIdx.y} * tile + 16 * part;
        if (column < cast.columns && row < cast.rows) {
            store<access>(cast.transposed + column * cast.rows + row,
                          columns[in_tile][(part + in_tile / columns_per_thread) % groups],
                          cast.rows - row);
        }
    }
}

template <__nv_fp8_interpretation_t format, Access access>
__global__ __launch_bounds__(threads) void cast_tile(CastArguments cast) {
    const int group = static_cast<int>(threadIdx.x) % groups;
    const int quad = static_cast<int>(threadIdx.x) / groups;
    const std::int64_t column = std::int64_t{blockIdx.x} * tile + group * columns_per_thread;
    const std::int64_t row = std::int64_t{blockIdx.y} * tile + quad * rows_per_thread;
    Values values[rows_per_thread];
#pragma unroll
    for (int r = 0; r < rows_per_thread; ++r) {
        values[r] = load<access>(cast, row + r, column);
    }
    const float scale = *cast.scale;
    float amax = 0;
    uint4 codes[rows_per_thread];
#pragma unroll
    for (int r = 0; r < rows_per_thread; ++r) {
        codes[r] = encode<format>(values[r], scale, amax);
    }
    if (cast.plain != nullptr && column < cast.columns) {
#pragma unroll
        for (int r = 0; r < rows_per_thread; ++r) {
            if (row + r < cast.rows) {
                store<access>(cast.plain + (row + r) * cast.columns + column,
                              codes[r],
                              cast.columns - column);
            }
        }
    }
    if (cast.transposed != nullptr) {
        store_transposed<access>(cast, codes, group, quad);
    }
    if (cast.amax != nullptr) {
        raise(cast.amax, amax);
    }
}

bool is_aligned(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % sizeof(uint4) == 0;
}

bool suits_vectors(const Fp8Cast& cast) {
    return is_aligned(cast.source) && is_aligned(cast.plain) && is_aligned(cast.transposed) &&
           cast.columns % 16 == 0 && (cast.transposed == nullptr || cast.rows % 16 == 0);
}

template <__nv_fp8_interpretation_t format>
auto kernel_for(Access access) {
    return access == Access::vector ? cast_tile<format, Access::vector>
                                    : cast_tile<format, Access::element>;
}

}  // namespace

void cast_fp8(const Fp8Cast& cast, cudaStream_t stream) {
    constexpr std::int64_t most_blocks_y = 65535;
    const std::int64_t blocks_x = (cast.columns + tile - 1) / tile;
    const std::int64_t blocks_y = (cast.rows + tile - 1) / tile;
    TD_EXPECT(cast.rows > 0 && cast.columns > 0 && blocks_y <= most_blocks_y);
    TD_EXPECT(cast.source != nullptr && cast.scale != nullptr);
    TD_EXPECT(cast.plain != nullptr || cast.transposed != nullptr);
    const Access access = suits_vectors(cast) ? Access::vector : Access::element;
    const auto kernel = cast.format == Fp8Format::e4m3 ? kernel_for<__NV_E4M3>(access)
                                                       : kernel_for<__NV_E5M2>(access);
    kernel<<<dim3(static_cast<unsigned>(blocks_x), static_cast<unsigned>(blocks_y)),
             threads,
             0,
             stream>>>({.source = static_cast<const std::uint16_t*>(cast.source),
                        .rows = cast.rows,
                        .columns = cast.columns,
                        .scale = cast.scale,
                        .amax = cast.amax,
                        .plain = reinterpret_cast<std::uint8_t*>(cast.plain),
                        .transposed = reinterpret_cast<std::uint8_t*>(cast.transposed)});
    TD_CUDA(cudaGetLastError());
}

}  // namespace traindyno
