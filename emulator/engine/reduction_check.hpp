// SPDX-License-Identifier: Apache-2.0
// In-step verification of reduced values: known patterns go in, their closed-form reduction must
// come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "emulator/program/op.hpp"

namespace traindyno {

/// How many reduced values were compared with their closed form, and how many differed.
struct ReductionChecks {
    std::int64_t checked = 0;
    std::int64_t wrong = 0;

    friend bool operator==(const ReductionChecks&, const ReductionChecks&) = default;
};

/// Every `check_stride`-th element of a reduced buffer, and its last, carries a pattern.
inline constexpr std::int64_t check_stride = 4096;
/// Buffers below this size are left alone: a gradient norm or a loss is used right after.
inline constexpr std::int64_t check_minimum = 64;

/// Writes this member's pattern into `buffer`. `key` tells buffers apart (it must be equal on all
/// members). `type` is fp32, bf16 or fp16. Values are integers in 1..4, so that sums are
/// exact over many ranks and tame as gradients.
void stamp(std::span<std::byte> buffer, DType type, GroupRank rank, std::uint32_t key);

/// Compares the reduced pattern with its closed form: exactly up to the integer that `type` counts
/// to without gaps (256 in bf16, 2048 in fp16), beyond it within `size` roundings.
[[nodiscard]] ReductionChecks check(std::span<const std::byte> buffer,
                                    DType type,
                                    Reduction reduction,
                                    std::int64_t size,
                                    std::uint32_t key);

}  // namespace traindyno
