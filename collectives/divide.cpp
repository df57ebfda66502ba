// SPDX-License-Identifier: Apache-2.0
#include "collectives/divide.hpp"

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

template <class T, class Divide>
void for_each_element(std::span<std::byte> bytes, Divide&& divide) {
    TD_EXPECT(bytes.size() % sizeof(T) == 0);
    T* const elements = reinterpret_cast<T*>(bytes.data());
    const std::size_t count = bytes.size() / sizeof(T);
    for (std::size_t i = 0; i < count; ++i) {
        elements[i] = divide(elements[i]);
    }
}

template <class T>
void divide_as(std::span<std::byte> bytes, std::int64_t divisor) {
    for_each_element<T>(bytes, [by = static_cast<T>(divisor)](T value) { return value / by; });
}

}  // namespace

void divide_elements(std::span<std::byte> elements, DType type, std::int64_t divisor) {
    TD_EXPECT(divisor > 0);
    switch (type) {
        case DType::fp32:
            return divide_as<float>(elements, divisor);
        case DType::bf16:
            return for_each_element<Bf16>(elements, [by = static_cast<float>(divisor)](Bf16 value) {
                return to_bf16(to_float(value) / by);
            });
        case DType::fp16:
            return for_each_element<Fp16>(elements, [by = static_cast<float>(divisor)](Fp16 value) {
                return to_fp16(to_float(value) / by);
            });
        case DType::fp64:
            return divide_as<double>(elements, divisor);
        case DType::int32:
            return divide_as<std::int32_t>(elements, divisor);
        case DType::int64:
            return divide_as<std::int64_t>(elements, divisor);
    }
}

}  // namespace traindyno
