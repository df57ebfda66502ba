// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/gemm/normal_numbers.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

namespace traindyno {

namespace {

constexpr std::int64_t most = 262'139;  // the largest prime below 2^18

template <class T>
void copy(const T& value, std::byte* out) {
    std::memcpy(out, &value, sizeof(value));
}

}  // namespace

void store(GemmType type, float value, std::byte* out) {
    switch (type) {
        case GemmType::fp32:
            return copy(value, out);
        case GemmType::bf16:
            return copy(__float2bfloat16(value), out);
        case GemmType::fp16:
            return copy(__float2half(value), out);
        case GemmType::e4m3:
            return copy(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3), out);
        case GemmType::e5m2:
            return copy(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E5M2), out);
    }
}

std::vector<std::byte> normal_numbers(GemmType type, double deviation, std::int64_t count) {
    // Not random on purpose: every rank tunes on the same numbers.
    std::mt19937_64 bits(1);  // NOLINT(cert-msc51-cpp)
    std::normal_distribution<double> normal(0, deviation);
    const auto size = static_cast<std::size_t>(element_size(type));
    std::vector<std::byte> numbers(static_cast<std::size_t>(std::min(count, most)) * size);
    for (std::size_t at = 0; at < numbers.size(); at += size) {
        store(type, static_cast<float>(normal(bits)), numbers.data() + at);
    }
    return numbers;
}

}  // namespace traindyno
