// SPDX-License-Identifier: Apache-2.0
// Which memory an operation reads and writes.
#pragma once

#include <vector>

#include "emulator/program/op.hpp"

namespace traindyno {

enum class Access : std::uint8_t { read, write };

struct SliceUse {
    Slice slice;
    Access access = Access::read;

    friend bool operator==(const SliceUse&, const SliceUse&) = default;
};

/// Every operand of `op`. What is updated in place or accumulated is listed as read and as written.
[[nodiscard]] std::vector<SliceUse> slices_of(const Op& op);

}  // namespace traindyno
