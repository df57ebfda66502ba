// SPDX-License-Identifier: Apache-2.0
// Kernels over whole arrays: random values, zeros, Adam.
#include <cstring>

#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/element_math.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us
constexpr std::int64_t page = 4096;           // elements: threads never share a page

template <class T>
TD_CLONES void random_values(
    T* to, std::int64_t n, float deviation, std::uint32_t seed, std::int64_t first) {
    const auto base = static_cast<std::uint32_t>(first);
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        store(to[i], normal_value(seed, base + static_cast<std::uint32_t>(i), deviation));
    }
}

template <class T, class G>
TD_CLONES void adam_range(
    T* weight, const G* gradient, float* master, float* m, float* v, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        const AdamState next = adam_update({master[i], m[i], v[i]}, load(gradient[i]));
        m[i] = next.m;
        v[i] = next.v;
        master[i] = next.master;
        store(weight[i], next.master);
    }
}

template <class T, class G>
void adam_typed(const Team& team, const AdamArrays& a) {
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        adam_range(a.weight.as<T>() + begin,
                   a.gradient.as<const G>() + begin,
                   a.master + begin,
                   a.m + begin,
                   a.v + begin,
                   end - begin);
    };
    team.for_ranges(a.weight.elements, page, serial_below, run);
}

}  // namespace

void adam(const Team& team, const AdamArrays& arrays) {
    if (arrays.weight.dtype != DType::bf16) {
        adam_typed<float, float>(team, arrays);
    } else if (arrays.gradient.dtype == DType::bf16) {
        adam_typed<Bf16, Bf16>(team, arrays);
    } else {
        adam_typed<Bf16, float>(team, arrays);
    }
}

void fill_random(const Team& team,
                 const Operand& data,
                 float deviation,
                 std::uint32_t seed,
                 std::int64_t first) {
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        if (data.dtype == DType::bf16) {
            random_values(data.as<Bf16>() + begin, end - begin, deviation, seed, first + begin);
        } else {
            random_values(data.as<float>() + begin, end - begin, deviation, seed, first + begin);
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

void copy(const Team& team, const Operand& from, const Operand& to) {
    const std::int64_t size = element_size(to.dtype);
    const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
        std::memcpy(to.data + begin * size,
                    from.data + begin * size,
                    static_cast<std::size_t>((end - begin) * size));
    };
    team.for_ranges(to.elements, page, serial_below, run);
}

}  // namespace traindyno
