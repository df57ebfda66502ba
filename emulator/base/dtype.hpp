// SPDX-License-Identifier: Apache-2.0
// Element types on devices and on the wire.
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

enum class DType : std::uint8_t { fp32, bf16, fp16, fp64, int32, int64 };

template <>
struct EnumNames<DType> {
    static constexpr auto names =
        enum_table<DType>("fp32", "bf16", "fp16", "fp64", "int32", "int64");
};

[[nodiscard]] constexpr std::int64_t element_size(DType type) {
    switch (type) {
        case DType::fp32:
        case DType::int32:
            return 4;
        case DType::bf16:
        case DType::fp16:
            return 2;
        case DType::fp64:
        case DType::int64:
            return 8;
    }
    return 0;
}

[[nodiscard]] constexpr Bytes size_of(std::int64_t elements, DType type) {
    return Bytes{elements * element_size(type)};
}

}  // namespace traindyno
