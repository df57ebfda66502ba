// SPDX-License-Identifier: Apache-2.0
// How a collective combines values.
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"

namespace traindyno {

enum class Reduction : std::uint8_t {
    sum,
    max,
    average,  ///< the sum divided by the number of members
};

template <>
struct EnumNames<Reduction> {
    static constexpr auto names = enum_table<Reduction>("sum", "max", "average");
};

}  // namespace traindyno
