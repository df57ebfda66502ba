// SPDX-License-Identifier: Apache-2.0
// Kernels over whole arrays: random values, zeros, Adam.
#include <cmath>
#include <cstring>

#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us
constexpr std::int64_t page = 4096;           // elements: threads never share a page

/// Sum of four uniform 16-bit values: mean 0 and variance 1 after scaling (Irwin-Hall), range
/// +-3.46. Vectorises; good enough for switching activity.
template <class T>
TD_CLONES void random_values(
    T* to, std::int64_t n, float deviation, std::uint32_t seed, std::int64_t first) {
    constexpr float mean = 2.0F * 65535.0F;
    const float scale = deviation * 1.7320508F / 65536.0F;  // sqrt(3): 4 values of variance 1/12
    const auto base = static_cast<std::uint32_t>(first);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        const auto index = base + static_cast<std::uint32_t>(i);
        const std::uint32_t a = mixed_bits(seed, index);
        const std::uint32_t b = mixed_bits(seed ^ 0x5bd1e995U, index);
        const std::uint32_t sum = (a & 0xffffU) + (a >> 16U) + (b & 0xffffU) + (b >> 16U);
        store(to[i], (static_cast<float>(static_cast<std::int32_t>(sum)) - mean) * scale);
    }
}

// Brown et al., arXiv:2005.14165, appendix B: beta1 0.9, beta2 0.95, epsilon 1e-8. The rate is far
// below theirs so that random data keeps every value finite for as long as anyone measures. No bias
// correction: it would fold into the rate and change neither traffic nor arithmetic per element.
constexpr float beta1 = 0.9F;
constexpr float beta2 = 0.95F;
constexpr float epsilon = 1e-8F;
constexpr float rate = 1e-7F;

template <class T>
TD_CLONES void adam_range(
    T* weight, const float* gradient, float* master, float* m, float* v, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        const float g = gradient[i];
        const float first = beta1 * m[i] + (1.0F - beta1) * g;
        const float second = beta2 * v[i] + (1.0F - beta2) * g * g;
        const float updated = master[i] - rate * first / (std::sqrt(second) + epsilon);
        m[i] = first;
        v[i] = second;
        master[i] = updated;
        store(weight[i], updated);
    }
}

template <class T>
void adam_typed(const Team& team, const AdamArrays& a) {
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        adam_range(a.weight.as<T>() + begin,
                   a.gradient + begin,
                   a.master + begin,
                   a.m + begin,
                   a.v + begin,
                   end - begin);
    };
    team.for_ranges(a.weight.elements, page, serial_below, run);
}

}  // namespace

void adam(const Team& team, const AdamArrays& arrays) {
    if (arrays.weight.dtype == DType::bf16) {
        adam_typed<Bf16>(team, arrays);
    } else {
        adam_typed<float>(team, arrays);
    }
}

void fill_random(const Team& team, const Operand& data, float deviation, std::uint32_t seed) {
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        if (data.dtype == DType::bf16) {
            random_values(data.as<Bf16>() + begin, end - begin, deviation, seed, begin);
        } else {
            random_values(data.as<float>() + begin, end - begin, deviation, seed, begin);
        }
    };
    team.for_ranges(data.elements, page, serial_below, run);
}

void fill_zero(const Team& team, const Operand& data) {
    const std::int64_t size = element_size(data.dtype);
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        std::memset(data.data + begin * size, 0, static_cast<std::size_t>((end - begin) * size));
    };
    team.for_ranges(data.elements, page, serial_below, run);
}

}  // namespace traindyno
