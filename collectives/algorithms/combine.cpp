// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/combine.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

template <class T>
std::span<const T> values_of(std::span<const std::byte> bytes) {
    return {static_cast<const T*>(static_cast<const void*>(bytes.data())),
            bytes.size() / sizeof(T)};
}

template <class T>
std::span<T> values_of(std::span<std::byte> bytes) {
    return {static_cast<T*>(static_cast<void*>(bytes.data())), bytes.size() / sizeof(T)};
}

template <class T>
T sum_of(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
        using Wrapping = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b));
    } else {
        return a + b;
    }
}

template <class T>
void combine_as(Reduction reduction, std::span<const T> from, std::span<T> into) {
    constexpr bool is_half = std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>;
    if constexpr (is_half) {
        reduction == Reduction::max ? max_halves(from, into) : add_halves(from, into);
    } else {
        const T* const source = from.data();
        T* const target = into.data();
        if (reduction == Reduction::max) {
            for (std::size_t i = 0; i < into.size(); ++i) {
                target[i] = std::max(target[i], source[i]);
            }
            return;
        }
        for (std::size_t i = 0; i < into.size(); ++i) {
            target[i] = sum_of(target[i], source[i]);
        }
    }
}

/// Calls `work(T{})` for the C++ type of `type`.
template <class Work>
void with_type(DType type, Work&& work) {
    switch (type) {
        case DType::fp32:
            return work(float{});
        case DType::bf16:
            return work(Bf16{});
        case DType::fp16:
            return work(Fp16{});
        case DType::fp64:
            return work(double{});
        case DType::int32:
            return work(std::int32_t{});
        case DType::int64:
            return work(std::int64_t{});
    }
}

}  // namespace

void combine(DType type,
             Reduction reduction,
             std::span<const std::byte> from,
             std::span<std::byte> into) {
    TD_EXPECT(from.size() == into.size());
    with_type(type,
              [&]<class T>(T) { combine_as(reduction, values_of<T>(from), values_of<T>(into)); });
}

}  // namespace traindyno
