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

/// Every `check_stride`-th element of a reduced buffer, and its last, is a mark: it carries a
/// pattern.
inline constexpr std::int64_t check_stride = 4096;
/// Buffers below this size have no marks: a gradient norm or a loss is used right after.
inline constexpr std::int64_t check_minimum = 64;

/// Marks in a buffer of `elements`.
[[nodiscard]] std::int64_t mark_count(std::int64_t elements);

/// Writes this member's pattern into the packed marks of a buffer of `elements`. `key` tells
/// buffers apart (it must be equal on all members). Values are integers in 1..4, so that sums are
/// exact in fp32 and tame as gradients.
void stamp(std::span<std::byte> marks,
           std::int64_t elements,
           DType type,
           GroupRank rank,
           std::uint32_t key);

/// Compares the marks of the reduced buffer with their closed form: exactly for fp32, within `size`
/// roundings for 16-bit types.
[[nodiscard]] ReductionChecks check(std::span<const std::byte> marks,
                                    std::int64_t elements,
                                    DType type,
                                    Reduction reduction,
                                    std::int64_t size,
                                    std::uint32_t key);

}  // namespace traindyno
