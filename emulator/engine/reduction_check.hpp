// SPDX-License-Identifier: Apache-2.0
// In-step verification of reduced values: known patterns go in, their closed-form reduction must
// come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "emulator/base/ids.hpp"
#include "emulator/device/reduction_pattern.hpp"

namespace traindyno {

/// How many reduced values were compared with their closed form, and how many differed.
struct ReductionChecks {
    std::int64_t checked = 0;
    std::int64_t wrong = 0;

    friend bool operator==(const ReductionChecks&, const ReductionChecks&) = default;
};

/// Writes this member's pattern into the packed marks of a buffer of `elements`. `key` tells
/// buffers apart (it must be equal on all members). `type` is fp32, bf16 or fp16. Values are
/// integers in 1..7, so that sums are exact over many ranks and tame as gradients.
void stamp(std::span<std::byte> marks,
           std::int64_t elements,
           DType type,
           GroupRank rank,
           std::uint32_t key);

/// Compares the marks of the reduced buffer with their closed form: exactly up to the integer that
/// `type` counts to without gaps (256 in bf16, 2048 in fp16), beyond it within `size` roundings.
[[nodiscard]] ReductionChecks check(std::span<const std::byte> marks,
                                    std::int64_t elements,
                                    DType type,
                                    Reduction reduction,
                                    std::int64_t size,
                                    std::uint32_t key);

}  // namespace traindyno
