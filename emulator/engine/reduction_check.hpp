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

/// Writes this member's pattern into `buffer`. `key` tells buffers apart (it must be equal on all
/// members). Values are integers in 1..4, so that sums are exact in fp32 and tame as gradients.
void stamp(std::span<std::byte> buffer, DType type, GroupRank rank, std::uint32_t key);

/// Compares the reduced pattern with its closed form: exactly for fp32, within `size` roundings for
/// bf16.
[[nodiscard]] ReductionChecks check(std::span<const std::byte> buffer,
                                    DType type,
                                    Reduction reduction,
                                    std::int64_t size,
                                    std::uint32_t key);

}  // namespace traindyno
